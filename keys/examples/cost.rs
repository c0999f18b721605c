//! What keys cost in processor time: `cargo run --release -p keys --example cost`.

use keys::{ClientKey, DaemonKeys, Initiator, Label};

const SIZE: usize = 1 << 20;
const ROUNDS: u32 = 300;

fn main() {
    let keys = DaemonKeys::generate().expect("there is chance");
    let label = Label::new("cost").expect("a label");
    let client = ClientKey::generate(label, &keys).expect("there is chance");
    let text = keys.to_text().to_string() + &DaemonKeys::line_for(&client);
    let keys = DaemonKeys::parse(text.as_bytes()).expect("what we wrote");
    let source = vec![b'x'; SIZE];
    let (mut line, mut out) = (Vec::new(), vec![0; SIZE]);
    let [
        mut opening_us,
        mut answer_us,
        mut finish_us,
        mut seal_us,
        mut open_us,
    ] = [0.0; 5];
    for _ in 0..ROUNDS {
        let mut begun = processor_us();
        let mut lap = |sum: &mut f64| {
            let now = processor_us();
            *sum += now - begun;
            begun = now;
        };
        let (initiator, opening) = Initiator::new(&client).expect("there is chance");
        lap(&mut opening_us);
        let (mut there, answer, _) = keys.answer(&opening).expect("a good opening");
        lap(&mut answer_us);
        let mut here = initiator.finish(&answer).expect("a good answer");
        lap(&mut finish_us);
        line.clear();
        here.sealer.seal(&source, &mut line).expect("few records");
        lap(&mut seal_us);
        for piece in line.chunks(16 << 10) {
            let mut rest = piece;
            while !rest.is_empty() {
                let space = there.opener.space();
                let count = space.len().min(rest.len());
                space[..count].copy_from_slice(&rest[..count]);
                there.opener.filled(count);
                rest = &rest[count..];
                while there.opener.take(&mut out).expect("what was sealed") > 0 {}
            }
        }
        lap(&mut open_us);
    }
    for (what, sum) in [
        ("client: opening", opening_us),
        ("daemon: answer", answer_us),
        ("client: finish", finish_us),
        ("seal 1 MiB", seal_us),
        ("open 1 MiB", open_us),
    ] {
        println!("{what:16} {:8.0} µs", sum / f64::from(ROUNDS));
    }
}

/// Time that this process has had a processor.
fn processor_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanos = text
        .split(' ')
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    nanos.expect("the first word is a number") / 1e3
}
