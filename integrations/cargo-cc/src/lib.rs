//! What cargo needs in its environment so that cc-rs compiles through the launcher.
