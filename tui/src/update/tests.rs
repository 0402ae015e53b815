//! What keys and messages do, in virtual time.
