//! What a command line means. No I/O, no clock.
