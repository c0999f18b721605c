fn main() {
    cc::Build::new().file("twice.c").compile("twice");
    println!("cargo:rerun-if-changed=twice.c");
}
