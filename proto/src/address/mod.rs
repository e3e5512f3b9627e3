//! Where agents are and what people call them: `aire://` URIs (`URI-1` to `URI-5`), handles and
//! their lookups (`DISC-3` to `DISC-5`, `DISC-7`), the URL of a `did:web` document (`ID-3`), and
//! the rules of a service entry (`DISC-1`).
//!
//! Everything here is text that others wrote, read in place. What parses keeps every rule, so that
//! a name can go to DNS and a URL to an HTTP client as it is. Who looks things up is elsewhere.

mod answer;
mod did_web;
mod handle;
mod host;
mod percent;
pub mod service;
mod uri;

pub use answer::{AnswerError, HttpsBody, MAX_BODY_LEN, TxtRecord};
pub use did_web::{DidWeb, DidWebError, DocumentUrl, HTTPS_PORT};
pub use handle::{Handle, HandleError, HttpsUrl, MAX_LOCALPART_LEN, TxtName};
pub use host::{Host, HostError, MAX_LABEL_LEN, MAX_NAME_LEN, Name};
pub use percent::{Chars, Encoded, Percent, PercentError};
pub use uri::{DEFAULT_PORT, MAX_URI_LEN, SCHEME, Uri, UriError};
