use super::*;
use std::os::unix::fs::PermissionsExt;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

#[test]
fn both_files_read_back() {
    let mut keys = DaemonKeys::generate().unwrap();
    let mut text = keys.to_text().to_string();
    assert!(DaemonKeys::parse(text.as_bytes()).unwrap().is_empty());
    for name in ["alice", "ci-3@farm.example"] {
        let key = ClientKey::generate(label(name), &keys).unwrap();
        let read = ClientKey::parse(key.to_text().as_bytes()).unwrap();
        assert_eq!((&read.label, read.daemon), (&key.label, keys.public()));
        assert_eq!(read.secret.0[..], key.secret.0[..]);
        text.push_str(&DaemonKeys::line_for(&key));
        assert!(keys.add(key.label, key.secret));
    }
    for text in [text, keys.to_text().to_string()] {
        let read = DaemonKeys::parse(text.as_bytes()).unwrap();
        assert_eq!(read.public(), keys.public());
        let secrets = |keys: &DaemonKeys| -> Vec<_> {
            let each = keys.clients.iter();
            each.map(|client| (client.label.clone(), client.secret.0.to_vec()))
                .collect()
        };
        assert_eq!(secrets(&read), secrets(&keys));
    }
}

#[test]
fn a_file_without_a_last_line_end_can_be_added_to() {
    let keys = DaemonKeys::generate().unwrap();
    let key = ClientKey::generate(label("b"), &keys).unwrap();
    let text =
        format!("{DAEMON_HEAD}\nprivate {HEX}\nclient a {HEX}") + &DaemonKeys::line_for(&key);
    assert_eq!(DaemonKeys::parse(text.as_bytes()).unwrap().len(), 2);
}

#[test]
fn what_is_wrong_is_said() {
    let client = |body: &str| {
        let text = format!("{CLIENT_HEAD}\n{body}");
        ClientKey::parse(text.as_bytes()).unwrap_err()
    };
    let daemon = |body: &str| {
        let text = format!("{DAEMON_HEAD}\n{body}");
        DaemonKeys::parse(text.as_bytes()).unwrap_err()
    };
    assert_eq!(client(""), Problem::Missing("daemon KEY"));
    assert_eq!(
        client(&format!("daemon {HEX}")),
        Problem::Missing("client LABEL KEY")
    );
    assert_eq!(client(&format!("\n# x\ndaemon {HEX}0")), Problem::Key(4));
    assert_eq!(client(&format!("daemon {}g", &HEX[1..])), Problem::Key(2));
    assert_eq!(client(&format!("daemon +{}", &HEX[1..])), Problem::Key(2));
    assert_eq!(client(&format!("client - {HEX}")), Problem::Label(2));
    assert_eq!(
        client(&format!("client a {HEX}\nclient b {HEX}")),
        Problem::Twice(3)
    );
    assert_eq!(
        client(&format!("daemon {HEX}\ndaemon {HEX}")),
        Problem::Twice(3)
    );
    assert_eq!(client(&format!("private {HEX}")), Problem::Line(2));
    assert_eq!(daemon(""), Problem::Missing("private KEY"));
    assert_eq!(
        daemon(&format!("private {HEX}\nclient a {HEX}\nclient a {OTHER}")),
        Problem::Twice(4)
    );
    assert_eq!(
        daemon(&format!("private {HEX}\nclient a {HEX}\nclient b {HEX}")),
        Problem::Twice(4)
    );
    assert_eq!(
        daemon(&format!("private {HEX}\nprivate {HEX}")),
        Problem::Twice(3)
    );
    assert_eq!(daemon("nonsense"), Problem::Line(2));
    for (text, client, daemon) in [
        ("", Problem::Head(CLIENT_HEAD), Problem::Head(DAEMON_HEAD)),
        (
            "\u{feff}x",
            Problem::Head(CLIENT_HEAD),
            Problem::Head(DAEMON_HEAD),
        ),
        (
            CLIENT_HEAD,
            Problem::Missing("daemon KEY"),
            Problem::IsClients,
        ),
        (
            DAEMON_HEAD,
            Problem::IsDaemons,
            Problem::Missing("private KEY"),
        ),
    ] {
        assert_eq!(ClientKey::parse(text.as_bytes()).unwrap_err(), client);
        assert_eq!(DaemonKeys::parse(text.as_bytes()).unwrap_err(), daemon);
    }
    assert_eq!(
        ClientKey::parse(b"\xff").unwrap_err(),
        Problem::Head(CLIENT_HEAD)
    );
}

#[test]
fn labels_are_short_and_plain() {
    for good in ["a", "A-b_c.d@e9", &"x".repeat(MAX_LABEL)] {
        assert!(Label::new(good).is_some(), "{good}");
    }
    for bad in [
        "",
        "a b",
        "-a",
        "ä",
        "a\n",
        "a/b",
        "\u{1b}",
        &"x".repeat(MAX_LABEL + 1),
    ] {
        assert!(Label::new(bad).is_none(), "{bad}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let keys =
        DaemonKeys::parse(format!("{DAEMON_HEAD}\nprivate {HEX}\nclient a {OTHER}").as_bytes())
            .unwrap();
    let client =
        ClientKey::parse(format!("{CLIENT_HEAD}\ndaemon {HEX}\nclient a {OTHER}").as_bytes())
            .unwrap();
    let private = format!("{keys:?}");
    let secret = format!("{client:?}");
    // 0x1d, 0x1e as bytes of a key are printed.
    assert!(
        !private.contains("29, 30") && !secret.contains("255, 1"),
        "{private} {secret}"
    );
    assert!(private.contains("(secret)") && secret.contains("(secret)"));
}

#[test]
fn only_files_of_the_owner_alone_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    assert!(matches!(
        ClientKey::read(&path),
        Err(KeyFileError::Read { .. })
    ));
    std::fs::write(
        &path,
        format!("{CLIENT_HEAD}\ndaemon {HEX}\nclient a {OTHER}\n"),
    )
    .unwrap();
    for mode in [0o640, 0o604, 0o660, 0o602, 0o601, 0o644] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let error = ClientKey::read(&path).unwrap_err();
        assert!(
            matches!(&error, KeyFileError::Open { mode: found, .. } if *found == mode),
            "{error}"
        );
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(ClientKey::read(&path).unwrap().label.as_str(), "a");
    }
    let error = DaemonKeys::read(&path).unwrap_err().to_string();
    assert!(error.contains("key: it is a client's file"), "{error}");
    assert!(matches!(
        ClientKey::read(folder.path()),
        Err(KeyFileError::NotRegular { .. })
    ));
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap_or_else(|_| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap()
        })
        .set_len(MAX_FILE + 1)
        .unwrap();
    assert!(matches!(
        ClientKey::read(&path),
        Err(KeyFileError::TooLarge { .. })
    ));
}
