//! TLS by BoringSSL, the one that is in the process already.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use boring::error::ErrorStack;
use boring::ssl::{
    AlpnError, SslAcceptor, SslFiletype, SslMethod, SslSessionCacheMode, select_next_proto,
};
use tracing::{info, warn};

use crate::Error;
use crate::config::Tls;

/// A certificate that is read anew when its files change.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: Tls,
    current: RwLock<Current>,
}

struct Current {
    acceptor: SslAcceptor,
    written: [Option<SystemTime>; 2],
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub(crate) fn read(files: &Tls) -> Result<Self, Error> {
        let current = Current {
            written: written(files),
            acceptor: acceptor(files)?,
        };
        Ok(Self {
            files: files.clone(),
            current: RwLock::new(current),
        })
    }

    /// What a connection shakes hands with.
    pub(crate) fn acceptor(&self) -> SslAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.acceptor.clone()
    }

    /// Reads the files again if they have changed. What is no good is not taken.
    pub(crate) fn renew(&self) {
        let written = written(&self.files);
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.written == written {
                return;
            }
        }
        let renewed = acceptor(&self.files);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.written = written;
        match renewed {
            Ok(acceptor) => {
                current.acceptor = acceptor;
                info!("the certificate has changed, and was read again");
            }
            Err(error) => warn!(%error, "the certificate has changed, and is not taken"),
        }
    }
}

fn written(files: &Tls) -> [Option<SystemTime>; 2] {
    let of = |path: &PathBuf| std::fs::metadata(path).ok()?.modified().ok();
    [of(&files.certificate), of(&files.key)]
}

fn acceptor(files: &Tls) -> Result<SslAcceptor, Error> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())
        .map_err(|error| Error::Tls(format!("TLS cannot be set up: {error}")))?;
    builder
        .set_certificate_chain_file(&files.certificate)
        .map_err(|error| no_good("certificate", &files.certificate, &error))?;
    builder
        .set_private_key_file(&files.key, SslFiletype::PEM)
        .map_err(|error| no_good("private key", &files.key, &error))?;
    builder.check_private_key().map_err(|_| {
        let (key, certificate) = (files.key.display(), files.certificate.display());
        Error::Tls(format!(
            "{key} is not the key of the certificate in {certificate}"
        ))
    })?;
    // A client that asks for nothing else is served as well.
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(HTTP_1_1, offered).ok_or(AlpnError::NOACK)
    });
    // Tickets resume sessions without memory here.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(builder.build())
}

fn no_good(what: &str, path: &Path, error: &ErrorStack) -> Error {
    let path = path.display();
    Error::Tls(format!(
        "{path} is no {what} in PEM, or cannot be read: {error}"
    ))
}

const HTTP_1_1: &[u8] = b"\x08http/1.1";
