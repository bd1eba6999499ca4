//! The server's own secrets at rest.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::sqlite::OpenError;

fn never() -> Option<Vec<u8>> {
    panic!("a secret that exists was generated again")
}

impl World {
    fn secret(&self, name: &'static str) -> Result<Vec<u8>, RegistryError> {
        self.registry.server_secret(name, &never).map(|secret| secret.expose().clone())
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("portcullis.db")
    }
}

#[test]
fn a_secret_survives_and_is_generated_once() {
    let world = World::empty();
    let made = world.registry.server_secret("signing", &|| Some(b"secret".to_vec())).unwrap();
    assert_eq!(made.expose(), b"secret");
    assert_eq!(world.secret("signing").unwrap(), b"secret");
    let World { registry, store, root, directory } = world;
    drop((registry, store));
    let store = SqliteStore::open(&directory.path().join("portcullis.db"), &root).unwrap();
    let world = World { registry: SqliteRegistry::new(&store), store, root, directory };
    assert_eq!(world.secret("signing").unwrap(), b"secret");
}

#[test]
fn names_have_secrets_of_their_own() {
    let world = World::empty();
    for name in ["one", "two"] {
        world.registry.server_secret(name, &|| Some(name.into())).unwrap();
    }
    assert_eq!(world.secret("one").unwrap(), b"one");
    assert_eq!(world.secret("two").unwrap(), b"two");
}

#[test]
fn threads_that_ask_at_the_same_time_get_the_same_secret() {
    let world = World::empty();
    let made = AtomicUsize::new(0);
    let generate = || {
        let number = made.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(20));
        Some(vec![u8::try_from(number).unwrap(); 32])
    };
    let secrets: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| world.registry.server_secret("signing", &generate).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().expose().clone()).collect()
    });
    assert!(secrets.iter().all(|secret| *secret == secrets[0]), "{secrets:?}");
    assert_eq!(world.secret("signing").unwrap(), secrets[0]);
}

#[test]
fn without_randomness_there_is_no_secret() {
    let world = World::empty();
    assert!(matches!(world.registry.server_secret("signing", &|| None), Err(RegistryError::Unavailable(_))));
    assert_eq!(world.integer("SELECT count(*) FROM server_secret"), 0);
}

#[test]
fn the_file_does_not_show_a_secret() {
    let world = World::empty();
    world.registry.server_secret("signing", &|| Some(b"plainly visible".to_vec())).unwrap();
    for file in [world.path(), world.path().with_extension("db-wal")] {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"plainly visible"));
    }
}

#[test]
fn every_changed_bit_and_every_cut_makes_a_secret_corrupt() {
    let world = World::empty();
    world.registry.server_secret("signing", &|| Some(b"secret".to_vec())).unwrap();
    let sealed: Vec<u8> = world
        .store
        .readers()
        .with(|connection| Ok(connection.query_row("SELECT sealed FROM server_secret", [], |row| row.get(0)).unwrap()))
        .unwrap();
    let store = |sealed: Vec<u8>| {
        let update = world
            .store
            .writer()
            .run_blocking(move |connection| Ok(connection.execute("UPDATE server_secret SET sealed = ?1", [sealed]).unwrap()));
        assert_eq!(update.unwrap(), 1);
    };
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        for damaged in [changed, sealed[..position].to_vec()] {
            store(damaged);
            assert!(matches!(world.secret("signing"), Err(RegistryError::Corrupt(_))), "{position}");
        }
    }
    store(sealed);
    assert_eq!(world.secret("signing").unwrap(), b"secret");
}

#[test]
fn a_secret_opens_under_its_own_name_only() {
    let world = World::empty();
    world.registry.server_secret("other", &|| Some(b"secret".to_vec())).unwrap();
    world.tamper("UPDATE server_secret SET name = 'signing'");
    assert!(matches!(world.secret("signing"), Err(RegistryError::Corrupt(_))));
}

#[test]
fn another_root_key_opens_no_secret() {
    let world = World::empty();
    world.registry.server_secret("signing", &|| Some(b"secret".to_vec())).unwrap();
    let other = RootKey::generate().unwrap();
    assert!(matches!(SqliteStore::open(&world.path(), &other), Err(OpenError::WrongKey)));
    world.tamper("DELETE FROM setting WHERE name = 'root key'");
    let store = SqliteStore::open(&world.path(), &other).unwrap();
    let registry = SqliteRegistry::new(&store);
    assert!(matches!(registry.server_secret("signing", &never), Err(RegistryError::Corrupt(_))));
}
