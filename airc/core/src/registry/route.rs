//! Which calls there are, and which one a target means.

use super::Method;

macro_rules! routes {
    ($($(#[$doc:meta])* $name:ident => $method:ident $template:literal $path:literal,)*) => {
        /// A call of the registry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Route {
            $($(#[$doc])* $name,)*
        }

        impl Route {
            /// Every call.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The method and the path, as in `POST /messages`: names for metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $template,)* }
            }

            /// Its method.
            #[must_use]
            pub const fn method(self) -> Method {
                match self { $(Self::$name => Method::$method,)* }
            }

            /// Its path, with `{handle}` where a handle stands. The paths of section 4 are served
            /// behind `/v0` too.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }
        }
    };
}

impl Route {
    /// Whether it is served behind `/v0` too: the paths of section 4 are.
    #[must_use]
    pub fn versioned(self) -> bool {
        let elsewhere = ["/api/", "/agents/", "/.well-known/"];
        !elsewhere
            .into_iter()
            .any(|start| self.path().starts_with(start))
    }
}

routes! {
    /// Registers an identity, or updates one (section 4.1).
    Register => Post "POST /identity" "/identity",
    /// Replaces a key (AGAP-6).
    Rotate => Post "POST /identity/rotate" "/identity/rotate",
    /// An identity, with its presence (section 4.1).
    Identity => Get "GET /identity/{handle}" "/identity/{handle}",
    /// A heartbeat (section 4.2).
    Heartbeat => Post "POST /presence/heartbeat" "/presence/heartbeat",
    /// Who is online (section 4.2).
    Presence => Get "GET /presence" "/presence",
    /// Sends a message (section 4.3).
    Send => Post "POST /messages" "/messages",
    /// The caller's inbox (section 4.3).
    Inbox => Get "GET /messages" "/messages",
    /// The messages between the caller and another (section 4.3).
    Thread => Get "GET /messages/thread/{handle}" "/messages/thread/{handle}",
    /// Asks for consent (section 4.4).
    ConsentRequest => Post "POST /consent/request" "/consent/request",
    /// Gives consent (section 4.4).
    ConsentAccept => Post "POST /consent/accept" "/consent/accept",
    /// Refuses consent (section 4.4).
    ConsentBlock => Post "POST /consent/block" "/consent/block",
    /// How things stand between the caller and another (section 4.4).
    Consent => Get "GET /consent/{handle}" "/consent/{handle}",
    /// Whom the caller has given or refused consent, and who asks for it (ours).
    Consents => Get "GET /consent" "/consent",
    /// Registers, or is a heartbeat, in the `/api` dialect.
    ApiPresence => Post "POST /api/presence" "/api/presence",
    /// Who is online, in the `/api` dialect.
    ApiWho => Get "GET /api/presence" "/api/presence",
    /// Registers, as other clients of the `/api` dialect do.
    ApiUsers => Post "POST /api/users" "/api/users",
    /// Sends a message in the `/api` dialect.
    ApiSend => Post "POST /api/messages" "/api/messages",
    /// Reads messages in the `/api` dialect.
    ApiMessages => Get "GET /api/messages" "/api/messages",
    /// Asks for, gives or refuses consent in the `/api` dialect.
    ApiConsent => Post "POST /api/consent" "/api/consent",
    /// Who asks for consent, in the `/api` dialect.
    ApiConsents => Get "GET /api/consent" "/api/consent",
    /// An identity in the `/api` dialect.
    ApiIdentity => Get "GET /api/identity/{handle}" "/api/identity/{handle}",
    /// Whether the registry is well, as clients of the `/api` dialect ask.
    ApiHealth => Get "GET /api/health" "/api/health",
    /// The DID document of a handle (`ID-3`).
    DidDocument => Get "GET /agents/{handle}/did.json" "/agents/{handle}/did.json",
    /// The DID of a handle (`DISC-5`).
    AireDid => Get "GET /.well-known/aire-did" "/.well-known/aire-did",
}
