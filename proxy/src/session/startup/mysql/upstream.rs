//! The server's leg where Weir logs in itself: opened once the client is known, and for somebody who may have another
//! name there.
//!
//! INVARIANT: what was agreed with the client holds on this leg too. Of the login alone Weir decides by itself: plugins
//! and connection attributes are spoken whatever the client speaks.

use std::io;

use weir_wire::mysql::capability::Capabilities;
use weir_wire::mysql::door::Plugin;
use weir_wire::mysql::error::{ERR, ErrPacket, OK, read_error};
use weir_wire::mysql::handshake::{Attributes, Greeting, HandshakeResponse, LOGIN_BYTES_MAX};
use weir_wire::mysql::packet::{Fields, Packet, Scan, put_packet};
use weir_wire::{Refusal, WireSide};

use super::{encrypted, greeting, unreachable};
use crate::mysql::login::{Packets, Trouble};
use crate::route::Route;
use crate::session::End;
use crate::session::leg::{Leg, Stream};

/// What a login may use on one leg alone.
pub(super) const OF_THE_LOGIN: Capabilities = Capabilities::SECURE_CONNECTION
    .with(Capabilities::PLUGIN_AUTH)
    .with(Capabilities::PLUGIN_AUTH_LENENC)
    .with(Capabilities::CONNECT_ATTRS);
/// First bytes of the names of Weir's own attributes; a client's of such a name is dropped.
const OWN_ATTRIBUTES: &[u8] = b"_weir_";
/// COM_QUERY.
const QUERY: u8 = 0x03;

/// Who the session belongs to, for the server's own records.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    /// The person.
    pub(super) person: String,
    /// The account at the door.
    pub(super) account: String,
}

impl Owner {
    /// The client's attributes with Weir's before them: a server keeps the first 512 bytes, and drops the rest.
    pub(super) fn attributes(&self, of_client: &Attributes) -> Attributes {
        let own = [("_weir_person", self.person.as_str()), ("_weir_account", self.account.as_str())];
        let own = own.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let others = of_client.pairs().filter(|(name, _)| !name.starts_with(OWN_ATTRIBUTES));
        Attributes::of(own.chain(others))
    }
}

/// The server's packets on a session's leg, numbered.
pub(super) struct Numbered<'l> {
    pub(super) leg: &'l mut Leg,
    /// Number of the next packet, whoever sends it.
    pub(super) seq: u8,
}

impl Packets for Numbered<'_> {
    type Error = End;

    async fn receive(&mut self) -> Result<Vec<u8>, End> {
        let seq = self.seq;
        let read = self.leg.read_until(LOGIN_BYTES_MAX, |bytes| {
            match Packet::scan(bytes, LOGIN_BYTES_MAX, WireSide::Upstream) {
                Ok(Scan::More(_)) => None,
                Ok(Scan::Whole(packet)) if packet.seq == seq => {
                    Some((packet.frame_len, Ok((packet.seq_last, packet.payload().into_owned()))))
                }
                Ok(Scan::Whole(_)) => Some((0, Err(out_of_order()))),
                Err(error) => Some((0, Err(End::Broken(error)))),
            }
        });
        let (last, payload) = read.await.map_err(|_| End::UpstreamGone)??;
        self.seq = last.wrapping_add(1);
        Ok(payload)
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), End> {
        let mut packet = Vec::with_capacity(payload.len() + 4);
        self.seq = put_packet(&mut packet, self.seq, payload);
        self.leg.queue(&packet);
        // A password may have been in it.
        packet.fill(0);
        std::hint::black_box(&packet);
        self.leg.drain().await.map_err(|_| End::UpstreamGone)
    }
}

impl Numbered<'_> {
    /// Runs a statement that returns no rows, before the session is anybody's. `agreed` is what was agreed for it.
    pub(super) async fn run(&mut self, sql: &str, agreed: Capabilities) -> Result<(), End> {
        self.ask(sql, agreed).await?;
        let answer = self.receive().await?;
        match answer.first() {
            Some(&OK) => Ok(()),
            Some(&ERR) => {
                let told = match read_error(&answer) {
                    Some(ErrPacket::Error(error)) => String::from_utf8_lossy(error.message).into_owned(),
                    _ => String::new(),
                };
                tracing::warn!(sql, told, "a session cannot be prepared");
                Err(End::Refused(Refusal::new(
                    "28000",
                    "the database does not give the session the role that it is to have",
                    "ask the operator of weir; weir's log says why",
                )))
            }
            _ => Err(out_of_order()),
        }
    }
}

impl Numbered<'_> {
    /// Sends a query. With query attributes there are none of them, in one set.
    async fn ask(&mut self, sql: &str, agreed: Capabilities) -> Result<(), End> {
        self.seq = 0;
        let attributes: &[u8] = if agreed.has(Capabilities::QUERY_ATTRIBUTES) { &[0, 1] } else { &[] };
        self.send(&[&[QUERY], attributes, sql.as_bytes()].concat()).await
    }

    /// The session's present database; empty where there is none. `agreed` is what was agreed for the session.
    pub(super) async fn database(&mut self, agreed: Capabilities) -> Result<String, End> {
        // In hexadecimal digits, which are the same in every character set that a session may have.
        self.ask("select hex(convert(database() using utf8mb4))", agreed).await?;
        // How many columns, and what they are.
        let described = if agreed.has(Capabilities::DEPRECATE_EOF) { 2 } else { 3 };
        for _ in 0..described {
            let packet = self.receive().await?;
            if packet.first() == Some(&ERR) {
                return Err(out_of_order());
            }
        }
        let row = self.receive().await?;
        let name = match Fields::new(&row).lenenc_value() {
            Some(Some(digits)) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let pairs = digits.chunks(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?));
                let bytes: Option<Vec<u8>> = pairs.collect();
                bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(out_of_order)?
            }
            Some(None) => String::new(),
            None => return Err(out_of_order()),
        };
        self.receive().await?;
        Ok(name)
    }
}

fn out_of_order() -> End {
    End::Broken(weir_wire::WireError::Malformed {
        side: WireSide::Upstream,
        kind: 'A',
        what: "answer out of order in a login",
    })
}

/// A leg on which the server has greeted.
pub(super) struct Fresh {
    pub(super) leg: Leg,
    pub(super) greeting: Greeting,
}

/// Opens the leg.
pub(super) async fn fresh(route: &Route, client: &mut Leg) -> Result<Fresh, End> {
    let socket = route.upstream.connect().await.map_err(|error| unreachable(route, &error))?;
    let mut leg = Leg::new(Stream::Plain(socket));
    let greeting = greeting(route, client, &mut leg).await?;
    Ok(Fresh { leg, greeting })
}

/// Sends the login's first packets, and returns the leg, under TLS where it is configured, with the number of the next
/// packet.
pub(super) async fn send_login(
    route: &Route,
    fresh: Fresh,
    response: &HandshakeResponse,
    agreed: Capabilities,
) -> Result<(Leg, u8), End> {
    let Fresh { mut leg, greeting } = fresh;
    let mut seq = 1;
    if let Some(tls) = &route.upstream.tls {
        let mut request = Vec::new();
        seq = put_packet(&mut request, seq, &response.tls_request(agreed));
        leg.queue(&request);
        leg = encrypted(leg, tls, &greeting).await.map_err(|error| unreachable(route, &error))?;
    }
    let payload = response.rebuild(agreed).map_err(End::Refused)?;
    let mut numbered = Numbered { leg: &mut leg, seq };
    numbered.send(&payload).await?;
    let seq = numbered.seq;
    Ok((leg, seq))
}

/// Why the login upstream did not end well, where the server did not say so itself. `account` is the one there.
pub(super) fn troubled(route: &Route, account: &str, trouble: Trouble<End>) -> End {
    let reason = match trouble {
        Trouble::Carrier(end) => return end,
        Trouble::Wire(error) => return End::Broken(error),
        Trouble::Refused(reason) => reason,
        Trouble::Unknown(plugin) => format!(
            "the account's plugin is `{}`, which weir does not log in with: give it {} or {}",
            plugin.chars().filter(char::is_ascii_graphic).take(64).collect::<String>(),
            Plugin::CachingSha2.name(),
            Plugin::Native.name()
        ),
    };
    let error = io::Error::other(format!("login of `{account}`: {reason}"));
    tracing::warn!(upstream = %route.upstream.name, %error, "weir cannot log in to the database");
    End::Refused(no_login())
}

/// What the client reads where Weir cannot log in for it.
pub(super) fn no_login() -> Refusal {
    Refusal::new(
        "28000",
        "weir knows you, and cannot log in to the database for you",
        "ask the operator of weir; weir's log says why",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_weir_says_who_the_person_is() {
        let of_client = [
            (b"_weir_person".as_slice(), b"mallory".as_slice()),
            (b"program_name", b"mysql"),
            (b"_weir_else", b"x"),
            (b"_client_name", b"libmysql"),
        ];
        let owner = Owner { person: "alice".to_owned(), account: "al".to_owned() };
        let attributes = owner.attributes(&Attributes::of(of_client.into_iter()));
        let pairs: Vec<(&[u8], &[u8])> = attributes.pairs().collect();
        let expected: [(&[u8], &[u8]); 4] = [
            (b"_weir_person", b"alice"),
            (b"_weir_account", b"al"),
            (b"program_name", b"mysql"),
            (b"_client_name", b"libmysql"),
        ];
        assert_eq!(pairs, expected);
    }
}
