//! The wire: tokens, requests, outcomes, bodies plain or LZO1X. No I/O, no clock.
