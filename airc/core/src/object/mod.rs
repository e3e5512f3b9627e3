//! What agents send: each object with its fields checked (section 2), and as it was signed
//! (section 3).
//!
//! `read` takes a JSON value and refuses it with a sentence that names the field; fields that
//! nobody knows are ignored (section 3.4), but stay in [`object`](Message::object), since the
//! signature covers them. For optional fields `null` is the same as none. `new` makes an object to
//! send, by the very same checks; then `sign` it.

mod ack;
mod consent;
mod fields;
mod handshake;
mod heartbeat;
mod message;
mod payload;
mod registration;
mod rotation;
pub mod thread;

pub use ack::{Ack, AckStatus};
pub use consent::{ConsentDraft, ConsentNotice};
pub use handshake::{Action, Handshake};
pub use heartbeat::{Heartbeat, HeartbeatDraft};
pub use message::{Message, MessageDraft, VERSION, check_version};
pub use payload::{OwnedPayload, Payload, is_listed};
pub use registration::{Registration, RegistrationDraft};
pub use rotation::{Rotation, RotationDraft};

/// What every object has in common: the whole of it, as it was sent, is what is signed.
macro_rules! signable {
    ($kind:ident) => {
        impl $kind {
            /// The whole object, also what nobody knows; its signature covers it.
            #[must_use]
            pub const fn object(&self) -> &$crate::json::Object {
                &self.object
            }

            /// The whole object, to be sent.
            #[must_use]
            pub fn into_value(self) -> $crate::json::Value {
                self.object.into()
            }

            /// Whether it carries a signature, good or bad.
            #[must_use]
            pub fn is_signed(&self) -> bool {
                self.object.contains($crate::signing::FIELD)
            }

            /// Adds the signature, or replaces it.
            pub fn sign(&mut self, signer: &dyn aire_proto::identity::Signer) {
                $crate::signing::sign(&mut self.object, signer);
            }

            /// Whose key of `keys` signed it: its index.
            ///
            /// # Errors
            /// All of [`SignatureError`](crate::signing::SignatureError).
            pub fn verify(
                &self,
                keys: &[$crate::PublicKey],
                verifier: &impl aire_proto::identity::SignatureVerifier,
            ) -> Result<usize, $crate::signing::SignatureError> {
                $crate::signing::verify(&self.object, keys, verifier)
            }
        }
    };
}

use signable;
