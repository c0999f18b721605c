//! Black-box tests: real binaries, real build tools, stock distcc beside ours.
