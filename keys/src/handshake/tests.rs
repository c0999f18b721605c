use super::*;
use crate::record::RecordError;
use crate::secret::Secret;

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

/// A daemon with two clients, and their keys.
fn farm() -> (DaemonKeys, ClientKey, ClientKey) {
    let mut keys = DaemonKeys::generate().unwrap();
    let mut client = |name| {
        let key = ClientKey::generate(label(name), &keys).unwrap();
        assert!(keys.add(key.label.clone(), key.secret.clone()));
        key
    };
    let (alice, bob) = (client("alice"), client("bob"));
    (keys, alice, bob)
}

fn carry(from: &mut Session, to: &mut Session, text: &[u8]) -> Result<Vec<u8>, RecordError> {
    let mut line = Vec::new();
    from.sealer.seal(text, &mut line)?;
    let mut rest = &line[..];
    let mut got = Vec::new();
    let mut space = [0; 1000];
    while !rest.is_empty() {
        let count = to.opener.space().len().min(rest.len());
        to.opener.space()[..count].copy_from_slice(&rest[..count]);
        to.opener.filled(count);
        rest = &rest[count..];
        loop {
            match to.opener.take(&mut space)? {
                0 => break,
                count => got.extend_from_slice(&space[..count]),
            }
        }
    }
    Ok(got)
}

#[test]
fn each_client_is_known_by_its_key() {
    let (keys, alice, bob) = farm();
    for key in [&alice, &bob] {
        let (initiator, opening) = Initiator::new(key).unwrap();
        let (mut there, answer, who) = keys.answer(&opening).unwrap();
        assert_eq!(*who, key.label);
        let mut here = initiator.finish(&answer).unwrap();
        assert!(!there.opener.proven());
        assert_eq!(
            carry(&mut here, &mut there, b"DIST00000001").unwrap(),
            b"DIST00000001"
        );
        assert!(there.opener.proven());
        let long: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        assert!(carry(&mut there, &mut here, &long).unwrap() == long);
        assert_eq!(carry(&mut here, &mut there, b"more").unwrap(), b"more");
    }
}

#[test]
fn nothing_of_a_client_can_be_read_off_the_line() {
    let (keys, alice, _) = farm();
    let (initiator, opening) = Initiator::new(&alice).unwrap();
    let (_, again) = Initiator::new(&alice).unwrap();
    assert_eq!(opening[..4], again[..4]);
    let same = opening[4..]
        .iter()
        .zip(&again[4..])
        .filter(|(a, b)| a == b)
        .count();
    assert!(same < 16, "{same} of 64 bytes are the same in two openings");
    let id = alice.secret.id();
    assert!(
        !opening
            .windows(8)
            .any(|part| id.windows(8).any(|known| known == part))
    );
    let (_, answer, _) = keys.answer(&opening).unwrap();
    let mut here = initiator.finish(&answer).unwrap();
    let mut line = Vec::new();
    here.sealer
        .seal(b"int answer(void) { return 42; }", &mut line)
        .unwrap();
    assert!(!line.windows(6).any(|part| part == b"answer"));
}

#[test]
fn a_client_with_another_secret_gets_no_word() {
    let (keys, mut alice, _) = farm();
    alice.secret = Secret::generate().unwrap();
    let (_, opening) = Initiator::new(&alice).unwrap();
    assert_eq!(keys.answer(&opening).unwrap_err(), Refused::UnknownKey);
}

#[test]
fn a_client_of_another_daemon_gets_no_word() {
    let (keys, alice, _) = farm();
    let mut elsewhere = DaemonKeys::generate().unwrap();
    assert!(elsewhere.add(alice.label.clone(), alice.secret.clone()));
    let (_, opening) = Initiator::new(&alice).unwrap();
    assert_eq!(
        elsewhere.answer(&opening).unwrap_err(),
        Refused::OtherDaemon
    );
    assert!(keys.answer(&opening).is_ok());
}

/// One who has the daemon's private key, but not the client's secret; one who has the secret but not the key.
#[test]
fn half_a_daemon_is_an_impostor() {
    let (keys, alice, _) = farm();
    let (initiator, opening) = Initiator::new(&alice).unwrap();
    let mut half = keys.clone();
    let id = alice.secret.id();
    for client in &mut half.clients {
        // It has learned the id from some opening.
        client.secret = Secret::generate().unwrap();
        client.id = id;
    }
    let (_, answer, _) = half.answer(&opening).unwrap();
    assert_eq!(initiator.finish(&answer).unwrap_err(), Refused::Impostor);

    let other = DaemonKeys::generate().unwrap();
    let mut misled = alice.clone();
    misled.daemon = other.public();
    let (_, opening) = Initiator::new(&misled).unwrap();
    assert_eq!(keys.answer(&opening).unwrap_err(), Refused::OtherDaemon);
}

#[test]
fn every_changed_bit_of_an_opening_is_noticed() {
    let (keys, alice, _) = farm();
    let (_, opening) = Initiator::new(&alice).unwrap();
    for at in 0..OPENING_LEN {
        for bit in 0..8 {
            let mut changed = opening;
            changed[at] ^= 1 << bit;
            match keys.answer(&changed) {
                Err(Refused::Plain) => assert!(at < 4),
                Err(Refused::OtherDaemon) => assert!(at >= 4),
                Err(other) => panic!("{at}.{bit}: {other}"),
                // The top bit of a Curve25519 point is not part of it, yet Noise mixes it in.
                Ok(_) => panic!("{at}.{bit} was taken"),
            }
        }
    }
    assert!(keys.answer(&[0; OPENING_LEN]).is_err());
}

#[test]
fn every_changed_byte_of_an_answer_is_noticed() {
    let (keys, alice, _) = farm();
    for at in 0..ANSWER_LEN {
        let (initiator, opening) = Initiator::new(&alice).unwrap();
        let (_, mut answer, _) = keys.answer(&opening).unwrap();
        answer[at] ^= 1 << (at % 8);
        assert_eq!(
            initiator.finish(&answer).unwrap_err(),
            Refused::Impostor,
            "{at}"
        );
    }
    let (initiator, _) = Initiator::new(&alice).unwrap();
    assert_eq!(
        initiator.finish(&[0; ANSWER_LEN]).unwrap_err(),
        Refused::Impostor
    );
}

#[test]
fn what_was_recorded_is_of_no_use() {
    let (keys, alice, _) = farm();
    let (initiator, opening) = Initiator::new(&alice).unwrap();
    let (mut there, answer, _) = keys.answer(&opening).unwrap();
    let mut here = initiator.finish(&answer).unwrap();
    let mut records = Vec::new();
    here.sealer.seal(b"DIST00000001", &mut records).unwrap();
    let give = |session: &mut Session| {
        session.opener.space()[..records.len()].copy_from_slice(&records);
        session.opener.filled(records.len());
        session.opener.take(&mut [0; 100])
    };
    assert_eq!(give(&mut there), Ok(12));
    // The whole conversation of the client's once more, to the same daemon: no byte comes out.
    let (mut again, new, _) = keys.answer(&opening).unwrap();
    assert_ne!(new, answer);
    assert_eq!(give(&mut again), Err(RecordError::Forged));
    assert!(!again.opener.proven());
    // And the daemon's answer once more to the same client.
    let (initiator, _) = Initiator::new(&alice).unwrap();
    assert_eq!(initiator.finish(&answer).unwrap_err(), Refused::Impostor);
}

#[test]
fn plain_clients_are_known_by_their_first_byte() {
    for plain in [
        &b"DIST00000001"[..],
        b"GET / HTTP/1.0",
        b"K",
        b"KEY2",
        b"\0",
    ] {
        let mut reader = OpeningReader::default();
        assert!(!reader.started());
        let mut verdict = Ok(());
        for byte in plain {
            reader.space()[0] = *byte;
            verdict = reader.filled(1).map(|whole| assert!(whole.is_none()));
            if verdict.is_err() {
                break;
            }
        }
        assert!(reader.started());
        assert_eq!(verdict.is_err(), plain != b"K", "{plain:?}");
    }
}

#[test]
fn an_opening_comes_in_pieces_and_nothing_more_is_taken() {
    let (keys, alice, _) = farm();
    let (_, opening) = Initiator::new(&alice).unwrap();
    for size in [1, 3, 67, 68] {
        let mut reader = OpeningReader::default();
        let mut whole = None;
        for part in opening.chunks(size) {
            assert!(whole.is_none());
            reader.space()[..part.len()].copy_from_slice(part);
            whole = reader.filled(part.len()).unwrap().copied();
        }
        assert!(reader.space().is_empty());
        assert!(keys.answer(&whole.unwrap()).is_ok());
    }
}

/// Noise's own derivation: with all keys fixed, these bytes must come out for ever, or old launchers and new daemons part.
#[test]
fn the_bytes_stay_as_they_are() {
    let text = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let mut keys = DaemonKeys {
        private: Secret::new([1; 32]),
        clients: Vec::new(),
    };
    assert!(keys.add(label("a"), Secret::new([2; 32])));
    let key = ClientKey {
        label: label("a"),
        daemon: keys.public(),
        secret: Secret::new([2; 32]),
    };
    // RFC 7748: the public key of 32 bytes 01.
    assert_eq!(
        text(&key.daemon.0),
        "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209"
    );
    let mut state = builder()
        .remote_public_key(&key.daemon.0)
        .unwrap()
        .psk(PSK_PLACE as u8, &key.secret.0)
        .unwrap()
        .fixed_ephemeral_key_for_testing_only(&[3; 32])
        .build_initiator()
        .unwrap();
    let mut opening = [0; OPENING_LEN];
    opening[..4].copy_from_slice(&MAGIC);
    state
        .write_message(&key.secret.id(), &mut opening[4..])
        .unwrap();
    assert_eq!(text(&opening), OPENING);
    let (_, answer, who) = keys.answer(&opening).unwrap();
    assert_eq!(who.as_str(), "a");
    assert!(Initiator(state).finish(&answer).is_ok());
}

const OPENING: &str = "4b4559315dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e01\
                       24b3ef22248ea362cccce0f4952fc8ea9da0210c697c771acb914cd0a38059ae\
                       995b0416";
