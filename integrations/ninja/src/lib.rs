//! The pool file that hand-written Ninja files include.
