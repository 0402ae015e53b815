//! Small pictures that several screens draw.
