use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn search(&self) -> Search {
        Search {
            path: self.0.path().into(),
            list: None,
            any_program: false,
        }
    }
}

fn path_of(compilers: &Compilers, word: &str) -> Option<PathBuf> {
    compilers
        .named(OsStr::new(word))
        .map(|compiler| compiler.path)
}

#[test]
fn only_compilers_are_named() {
    let folder = Folder::new();
    let gcc = folder.program("gcc-12");
    folder.program("sh");
    fs::write(folder.path("g++"), "not executable").unwrap();
    let compilers = Compilers::find(&folder.search()).unwrap();
    let whole = gcc.to_str().unwrap();
    for word in ["gcc-12", "/usr/bin/gcc-12", "/bin/gcc-12", whole] {
        assert_eq!(path_of(&compilers, word), Some(gcc.clone()), "{word}");
    }
    for word in [
        "sh",
        "/bin/sh",
        "g++",
        "",
        ".",
        "/",
        "..",
        "../gcc-12",
        "/usr/bin/../bin/gcc-12",
        "/opt/gcc-12",
        "gcc-12 ",
        "gcc-12\n",
        "./gcc-12",
        "/usr/bin//gcc-12",
        "distcc",
    ] {
        assert_eq!(path_of(&compilers, word), None, "{word:?}");
    }
}

#[test]
fn masquerade_links_are_passed_over() {
    let (links, real) = (Folder::new(), Folder::new());
    let client = links.program("distcc");
    symlink(&client, links.path("gcc")).unwrap();
    fs::hard_link(&client, links.path("clang")).unwrap();
    let gcc = real.program("gcc");
    let path = std::env::join_paths([links.0.path(), real.0.path()]).unwrap();
    let compilers = Compilers::find(&Search {
        path,
        list: None,
        any_program: true,
    })
    .unwrap();
    assert_eq!(path_of(&compilers, "gcc"), Some(gcc));
    assert_eq!(path_of(&compilers, "clang"), None);
    assert_eq!(path_of(&compilers, client.to_str().unwrap()), None);
    assert_eq!(path_of(&compilers, "distcc"), None);
}

#[test]
fn cc_is_of_the_family_it_leads_to() {
    let folder = Folder::new();
    symlink(folder.program("clang-16"), folder.path("cc")).unwrap();
    symlink(
        folder.program("x86_64-linux-gnu-g++-12"),
        folder.path("c++"),
    )
    .unwrap();
    let compilers = Compilers::find(&folder.search()).unwrap();
    let cc = compilers.named(OsStr::new("cc")).unwrap();
    let cxx = compilers.named(OsStr::new("c++")).unwrap();
    assert_eq!((cc.family, cc.cxx), (Family::Clang, false));
    assert_eq!((cxx.family, cxx.cxx), (Family::Gcc, true));
    assert_eq!(cc.path, folder.path("cc"));
}

#[test]
fn no_compiler_is_an_error() {
    let folder = Folder::new();
    folder.program("true");
    assert!(matches!(
        Compilers::find(&folder.search()),
        Err(CompilersError::None { .. })
    ));
}

#[test]
fn insecure_widens_to_any_program() {
    let folder = Folder::new();
    let tool = folder.program("tool");
    let compilers = Compilers::find(&Search {
        any_program: true,
        ..folder.search()
    })
    .unwrap();
    for word in ["tool", tool.to_str().unwrap(), "/nowhere/tool"] {
        assert_eq!(path_of(&compilers, word), Some(tool.clone()), "{word}");
    }
    for word in ["nosuch", "", "/", "too\0l"] {
        assert_eq!(path_of(&compilers, word), None, "{word:?}");
    }
}

#[test]
fn a_command_list_replaces_the_list() {
    let folder = Folder::new();
    folder.program("gcc");
    let list = folder.path("list");
    fs::write(
        &list,
        "# ours\n/opt/a/bin/gcc\n/opt/b/bin/cross-gcc\nrelative\n",
    )
    .unwrap();
    let one = Compilers::find(&Search {
        list: Some((list.clone(), 1)),
        ..folder.search()
    })
    .unwrap();
    assert_eq!(path_of(&one, "gcc"), Some("/opt/a/bin/gcc".into()));
    assert_eq!(
        path_of(&one, "/x/cross-gcc"),
        Some("/opt/b/bin/cross-gcc".into())
    );
    assert_eq!(path_of(&one, "clang"), None);
    let two = Compilers::find(&Search {
        list: Some((list, 2)),
        ..folder.search()
    })
    .unwrap();
    assert_eq!(path_of(&two, "/x/bin/gcc"), Some("/opt/a/bin/gcc".into()));
    assert_eq!(path_of(&two, "gcc"), None);
}

#[test]
fn an_unreadable_command_list_allows_nothing() {
    let folder = Folder::new();
    folder.program("gcc");
    let search = |file: PathBuf| Search {
        list: Some((file, 1)),
        any_program: true,
        ..folder.search()
    };
    assert!(matches!(
        Compilers::find(&search(folder.path("none"))),
        Err(CompilersError::List { .. })
    ));
    fs::write(folder.path("empty"), "\n").unwrap();
    assert!(matches!(
        Compilers::find(&search(folder.path("empty"))),
        Err(CompilersError::EmptyList { .. })
    ));
}
