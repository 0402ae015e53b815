//! Every mistake a user can make, and the line and column it is told with.
