//! `Lab`: machines as network namespaces, for tests that run real daemons.
