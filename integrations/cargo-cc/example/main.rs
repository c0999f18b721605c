extern "C" {
    fn twice(number: i32) -> i32;
}

fn main() {
    // Safety: the C function has this signature and reads nothing but its argument.
    println!("{}", unsafe { twice(21) });
}
