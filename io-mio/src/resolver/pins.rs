//! Pinned keys of `did:web`: whoever controls a web server, or its name, or a CA, can write a DID
//! document. A pin says which keys are good, whatever the document says.

mod file;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aire_proto::identity::{DidKey, PublicKey};

use super::{Document, ResolveError};
use file::PinFile;

/// A key in multibase, as DID documents and pin files hold it: `z6Mk...`.
#[must_use]
pub(crate) fn multibase(key: &PublicKey) -> String {
    let did = DidKey::new(key);
    did.did().trim_start_matches("did:key:").to_owned()
}

/// Which keys of which DIDs are good. Without any, what a DID's document says counts.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    explicit: HashMap<String, Vec<PublicKey>>,
    file: Option<PathBuf>,
}

impl Pins {
    /// No pins.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Only this key of `did` is good, and others that are pinned for it. Its document is fetched
    /// all the same, since it says whether the key is still in use.
    #[must_use]
    pub fn pin(mut self, did: &str, key: PublicKey) -> Self {
        self.explicit.entry(did.into()).or_default().push(key);
        self
    }

    /// Keys of DIDs that are not pinned are trusted at first use, and pinned from then on in this
    /// file. It holds a line per DID: the DID, and the keys that its document had, in multibase;
    /// lines that begin with `#` are kept as they are. It is made with mode 0600, and always
    /// replaced as a whole; processes can share it.
    ///
    /// At most 10,000 DIDs find room: further ones are refused until lines are removed. For a
    /// client this is as good as never; a node that anybody may connect to should rather pin the
    /// peers that it knows.
    #[must_use]
    pub fn trust_on_first_use(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }
}

/// Pins at work.
pub(super) struct PinTable {
    explicit: HashMap<String, Vec<PublicKey>>,
    file: Option<Mutex<PinFile>>,
}

impl PinTable {
    /// Reads the file, if there is one.
    pub(super) fn open(pins: Pins) -> Result<Self, ResolveError> {
        let file = pins.file.map(PinFile::open).transpose()?;
        Ok(Self {
            explicit: pins.explicit,
            file: file.map(Mutex::new),
        })
    }

    /// Whether `key` is known to be good for `did`, without a look at the file.
    pub(super) fn knows(&self, did: &str, key: &PublicKey) -> bool {
        match (self.explicit.get(did), &self.file) {
            (Some(pinned), _) => pinned.contains(key),
            (None, None) => true,
            (None, Some(file)) => {
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.keys_of(did)
                    .is_some_and(|(keys, _)| keys.contains(key))
            }
        }
    }

    /// Judges a key of a document. One that is seen for the first time is pinned, together with
    /// the other keys of the document.
    pub(super) fn check(&self, document: &Document, key: &PublicKey) -> Result<(), ResolveError> {
        let did = document.id();
        let changed = |pinned_at| ResolveError::KeyChanged {
            did: did.into(),
            found: *key,
            pinned_at,
        };
        if let Some(pinned) = self.explicit.get(did) {
            return match pinned.contains(key) {
                true => Ok(()),
                false => Err(changed(None)),
            };
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.refresh()?;
        if file.keys_of(did).is_none() {
            let mut keys = vec![*key];
            keys.extend(
                document
                    .keys()
                    .map(|(_, key)| key)
                    .filter(|other| other != key),
            );
            // Another process may have been faster: its word counts.
            file.add(did, &keys)?;
        }
        match file.keys_of(did) {
            Some((keys, _)) if keys.contains(key) => Ok(()),
            Some((_, line)) => Err(changed(Some((file.path().to_owned(), line)))),
            None => Err(ResolveError::PinFile {
                path: file.path().to_owned(),
                reason: "what was written to it is not in it".into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(did: &str, keys: &[PublicKey]) -> Document {
        let methods: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(index, key)| {
                format!(
                    r##"{{"id":"{did}#{index}","type":"Ed25519VerificationKey2020","publicKeyMultibase":"{}"}}"##,
                    multibase(key)
                )
            })
            .collect();
        let json = format!(
            r#"{{"id":"{did}","verificationMethod":[{}]}}"#,
            methods.join(",")
        );
        Document::parse(json.as_bytes(), did).expect("a document")
    }

    const DID: &str = "did:web:example.com";
    const ONE: PublicKey = PublicKey([1; 32]);
    const TWO: PublicKey = PublicKey([2; 32]);
    const THREE: PublicKey = PublicKey([3; 32]);

    #[test]
    fn without_pins_every_key_is_good() {
        let table = PinTable::open(Pins::none()).expect("it opens");
        assert!(table.knows(DID, &ONE));
        assert_eq!(table.check(&document(DID, &[ONE]), &ONE), Ok(()));
    }

    #[test]
    fn of_a_pinned_did_only_pinned_keys_are_good() {
        let pins = Pins::none().pin(DID, ONE).pin(DID, TWO);
        let table = PinTable::open(pins).expect("it opens");
        let document = document(DID, &[ONE, TWO, THREE]);
        assert_eq!(table.check(&document, &ONE), Ok(()));
        assert_eq!(table.check(&document, &TWO), Ok(()));
        let error = table
            .check(&document, &THREE)
            .expect_err("it is not pinned");
        assert!(matches!(
            error,
            ResolveError::KeyChanged {
                pinned_at: None,
                ..
            }
        ));
        assert!(!table.knows(DID, &THREE));
        assert!(table.knows("did:web:example.org", &THREE));
    }

    #[test]
    fn the_first_keys_are_trusted_and_others_are_refused_by_file_and_line() {
        let dir = file::tests::Dir::new("pins-first");
        let path = dir.0.join("known");
        let open = || PinTable::open(Pins::none().trust_on_first_use(&path)).expect("it opens");
        let table = open();
        let other = "did:web:other.example";
        assert_eq!(table.check(&document(other, &[THREE]), &THREE), Ok(()));
        assert!(!table.knows(DID, &ONE));
        assert_eq!(table.check(&document(DID, &[ONE, TWO]), &ONE), Ok(()));
        assert!(table.knows(DID, &ONE) && table.knows(DID, &TWO));
        for table in [table, open()] {
            assert_eq!(table.check(&document(DID, &[TWO]), &TWO), Ok(()));
            let error = table.check(&document(DID, &[THREE]), &THREE);
            let error = error.expect_err("it is another key");
            assert!(
                matches!(&error, ResolveError::KeyChanged { pinned_at: Some((at, 2)), .. } if *at == path),
                "{error:?}"
            );
            let sentence = error.to_string();
            assert!(
                sentence.contains("line 2") && sentence.contains("known"),
                "{sentence}"
            );
        }
    }

    #[test]
    fn a_line_that_is_removed_is_forgotten_by_a_running_process() {
        let dir = file::tests::Dir::new("pins-removed");
        let path = dir.0.join("known");
        let table = PinTable::open(Pins::none().trust_on_first_use(&path)).expect("it opens");
        assert_eq!(table.check(&document(DID, &[ONE]), &ONE), Ok(()));
        assert!(table.check(&document(DID, &[TWO]), &TWO).is_err());
        std::fs::write(&path, "# nobody\n").expect("written");
        assert_eq!(table.check(&document(DID, &[TWO]), &TWO), Ok(()));
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!(text, format!("# nobody\n{DID} {}\n", multibase(&TWO)));
    }

    #[test]
    fn processes_that_share_a_file_do_not_lose_each_others_pins() {
        let dir = file::tests::Dir::new("pins-shared");
        let path = dir.0.join("known");
        let open = || PinTable::open(Pins::none().trust_on_first_use(&path)).expect("it opens");
        let (first, second) = (open(), open());
        assert_eq!(first.check(&document(DID, &[ONE]), &ONE), Ok(()));
        let other = "did:web:other.example";
        assert_eq!(second.check(&document(other, &[TWO]), &TWO), Ok(()));
        assert!(second.check(&document(DID, &[THREE]), &THREE).is_err());
        assert!(first.check(&document(other, &[THREE]), &THREE).is_err());
    }
}
