use super::*;
use keys::{ANSWER_LEN, ClientKey, Initiator, Session};
use tokio::io::{DuplexStream, duplex, split};

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

/// A gate, and a key that opens it.
fn gate() -> (Gate, ClientKey) {
    let keys = DaemonKeys::generate().unwrap();
    let label = Label::new("alice").unwrap();
    let key = ClientKey::generate(label, &keys).unwrap();
    let text = keys.to_text().to_string() + &DaemonKeys::line_for(&key);
    (Gate::new(DaemonKeys::parse(text.as_bytes()).unwrap()), key)
}

/// Lets somebody in who says `opening` and then nothing.
async fn admit(gate: &Gate, opening: &[u8]) -> Result<Label, Turned> {
    let (mut theirs, ours) = duplex(1 << 10);
    theirs.write_all(opening).await.unwrap();
    theirs.shutdown().await.unwrap();
    let (reader, writer) = split(ours);
    let admitted = gate.admit(reader, writer, Some(IP)).await;
    let mut said = Vec::new();
    let result = match admitted {
        Ok(admitted) => {
            let Admitted {
                reader,
                writer,
                label,
            } = admitted;
            drop((reader, writer));
            Ok(label)
        }
        Err(turned) => {
            gate.note(&turned, "test", Some(IP));
            Err(turned)
        }
    };
    theirs.read_to_end(&mut said).await.unwrap();
    assert_eq!(said.len(), if result.is_ok() { ANSWER_LEN } else { 0 });
    result
}

/// A client that has come in.
async fn come_in(theirs: &mut DuplexStream, key: &ClientKey) -> Session {
    let (initiator, opening) = Initiator::new(key).unwrap();
    theirs.write_all(&opening).await.unwrap();
    let mut answer = [0; ANSWER_LEN];
    theirs.read_exact(&mut answer).await.unwrap();
    initiator.finish(&answer).unwrap()
}

fn tries(gate: &Gate) -> u32 {
    let mut tries = 0;
    while gate.attempts.failed(IP, Instant::now()) == Next::MayTry {
        tries += 1;
    }
    tries
}

#[tokio::test]
async fn strangers_hear_nothing_and_are_counted() {
    let (gate, key) = gate();
    let (_, other) = self::gate();
    let most = tries(&self::gate().0);
    for bytes in [&b"DIST00000001"[..], b"KEY1", b"K", &[0; 100]] {
        let turned = admit(&gate, bytes).await.unwrap_err();
        assert!(
            matches!(turned, Turned::Refused(Refused::Plain)),
            "{turned:?}"
        );
    }
    // Who says nothing only looks whether somebody listens.
    assert!(matches!(admit(&gate, b"").await, Err(Turned::Nothing)));
    let (_, opening) = Initiator::new(&other).unwrap();
    assert!(matches!(
        admit(&gate, &opening).await,
        Err(Turned::Refused(Refused::OtherDaemon))
    ));
    let (_, opening) = Initiator::new(&key).unwrap();
    assert_eq!(admit(&gate, &opening).await.unwrap().as_str(), "alice");
    // The four, the other daemon's client, and who came in without proving anything.
    assert_eq!(tries(&gate), most - 6);
    let (_, opening) = Initiator::new(&key).unwrap();
    assert!(matches!(admit(&gate, &opening).await, Err(Turned::TooMany)));
}

#[tokio::test]
async fn who_proves_it_is_heard_and_does_not_count() {
    let (gate, key) = gate();
    let (mut theirs, ours) = duplex(1 << 20);
    let (reader, writer) = split(ours);
    let (admitted, mut session) = tokio::join!(
        gate.admit(reader, writer, Some(IP)),
        come_in(&mut theirs, &key)
    );
    let Admitted {
        mut reader,
        mut writer,
        ..
    } = admitted.unwrap();
    let text: Vec<u8> = (0..200_000_u32).map(|n| (n % 249) as u8).collect();

    let mut line = Vec::new();
    session.sealer.seal(&text, &mut line).unwrap();
    session.sealer.end(&mut line).unwrap();
    theirs.write_all(&line).await.unwrap();
    let mut got = Vec::new();
    reader.read_to_end(&mut got).await.unwrap();
    assert!(got == text);
    assert!(reader.unproven.is_none());

    writer.write_all(&text).await.unwrap();
    writer.shutdown().await.unwrap();
    writer.shutdown().await.unwrap();
    drop((reader, writer));
    let mut line = Vec::new();
    theirs.read_to_end(&mut line).await.unwrap();
    let mut got = Vec::new();
    let mut space = vec![0; 1 << 16];
    for piece in line.chunks(4096) {
        session.opener.space()[..piece.len()].copy_from_slice(piece);
        session.opener.filled(piece.len());
        loop {
            match session.opener.take(&mut space).unwrap() {
                0 => break,
                count => got.extend_from_slice(&space[..count]),
            }
        }
    }
    assert!(got == text && session.opener.ended());
    assert_eq!(tries(&gate), tries(&self::gate().0));
}

/// Not a byte of what a client did not seal is heard, and a cut is no end.
#[tokio::test]
async fn what_was_changed_or_cut_is_an_error() {
    for (change, kind) in [
        (true, io::ErrorKind::InvalidData),
        (false, io::ErrorKind::UnexpectedEof),
    ] {
        let (gate, key) = gate();
        let (mut theirs, ours) = duplex(1 << 10);
        let (reader, writer) = split(ours);
        let (admitted, mut session) =
            tokio::join!(gate.admit(reader, writer, None), come_in(&mut theirs, &key));
        let mut reader = admitted.unwrap().reader;
        let mut line = Vec::new();
        session.sealer.seal(b"DIST00000001", &mut line).unwrap();
        if change {
            line[5] ^= 1;
        } else {
            line.pop();
        }
        theirs.write_all(&line).await.unwrap();
        drop(theirs);
        let mut got = Vec::new();
        assert_eq!(reader.read_to_end(&mut got).await.unwrap_err().kind(), kind);
        assert!(got.is_empty() && reader.unproven.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends() {
    let (gate, _) = gate();
    let (mut theirs, ours) = duplex(1 << 10);
    theirs.write_all(b"KEY1").await.unwrap();
    let (reader, writer) = split(ours);
    let start = tokio::time::Instant::now();
    assert!(matches!(
        gate.admit(reader, writer, Some(IP)).await,
        Err(Turned::TooSlow)
    ));
    assert!(start.elapsed() <= PATIENCE + Duration::from_millis(1));
}
