//! MySQL's side of the client: the handshake, text queries, prepared statements; in plain, by `mysql_native_password`.
//!
//! It is as strict as the clients that people use: a packet out of order, or one that does not belong where it comes,
//! fails the demonstration. So an error in the middle of a result is only taken for one where a client could go on.
//!
//! https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html

use aws_lc_rs::digest::{Context as Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Door, Reading, Refusal, limited};
use crate::failure::{Context, Failure};

const PLUGIN: &str = "mysql_native_password";
const SALT_BYTES: usize = 20;

/// LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH: what text queries and
/// prepared statements need. Without DEPRECATE_EOF an EOF packet ends columns and rows.
const CAPABILITIES: u32 = 0x0008_a209;
const PLUGIN_AUTH: u32 = 0x0008_0000;
const UTF8MB4_GENERAL_CI: u8 = 45;

/// A packet of this length goes on in the next one. Nothing here is that long.
const PACKET_BYTES_MAX: usize = 0xff_ffff;

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_CLOSE: u8 = 0x19;
const TYPE_LONGLONG: u8 = 8;

const OK: u8 = 0x00;
const LOCAL_INFILE: u8 = 0xfb;
const EOF: u8 = 0xfe;
const ERR: u8 = 0xff;
/// A longer packet that begins like an EOF is a row.
const EOF_BYTES_MAX: usize = 8;

/// One open session.
#[derive(Debug)]
pub(crate) struct Session {
    stream: BufReader<TcpStream>,
    /// The number that the next packet bears, whoever sends it.
    sequence: u8,
}

impl Session {
    /// Logs in.
    pub(crate) async fn open(door: &Door, account: &str, database: &str) -> Result<Session, Failure> {
        limited(Session::log_in(door, account, database)).await.context(format_args!("{account} cannot log in"))
    }

    /// Runs one statement as text.
    pub(crate) async fn simple(&mut self, sql: &str) -> Result<Reading, Failure> {
        limited(async {
            self.command(COM_QUERY, sql.as_bytes()).await?;
            self.result().await
        })
        .await
    }

    /// Prepares a statement, runs it with its one parameter, and closes it. Its rows come in binary.
    pub(crate) async fn prepared(&mut self, sql: &str, parameter: i64) -> Result<Reading, Failure> {
        limited(async {
            self.command(COM_STMT_PREPARE, sql.as_bytes()).await?;
            let answer = self.packet().await?;
            let mut answer = Fields(&answer);
            match answer.byte()? {
                OK => {}
                ERR => return Ok(Reading { refusal: Some(refusal(answer)?), ..Reading::default() }),
                other => return Err(unexpected("an answer to COM_STMT_PREPARE", other)),
            }
            let statement = answer.take(4)?.to_vec();
            let (columns, parameters) = (answer.short()?, answer.short()?);
            if parameters != 1 {
                return Err(Failure::new(format!("{parameters} parameters in `{sql}`, not one")));
            }
            self.columns(u64::from(parameters)).await?;
            if columns > 0 {
                self.columns(u64::from(columns)).await?;
            }
            // No cursor, one iteration, no NULL among the parameters, types follow.
            let mut body = statement.clone();
            body.extend([0, 1, 0, 0, 0, 0, 1, TYPE_LONGLONG, 0]);
            body.extend(parameter.to_le_bytes());
            self.command(COM_STMT_EXECUTE, &body).await?;
            let mut reading = self.result().await?;
            // What stands where `id` would stand in text is something else in binary.
            reading.ids.clear();
            // It has no answer.
            self.command(COM_STMT_CLOSE, &statement).await?;
            Ok(reading)
        })
        .await
    }

    /// Says goodbye and waits until the socket is closed.
    pub(crate) async fn close(mut self) {
        let _ = limited(async {
            self.command(COM_QUIT, &[]).await?;
            let mut rest = Vec::new();
            self.stream.read_to_end(&mut rest).await.context("cannot close")
        })
        .await;
    }

    async fn log_in(door: &Door, account: &str, database: &str) -> Result<Session, Failure> {
        let stream = TcpStream::connect(door.address).await.context("cannot connect")?;
        stream.set_nodelay(true).context("cannot connect")?;
        let mut session = Session { stream: BufReader::new(stream), sequence: 0 };
        let greeting = session.packet().await?;
        let salt = salt(Fields(&greeting))?;
        session.send(&login(account, &door.password, database, &salt)).await?;
        let mut answer = session.packet().await?;
        if answer.first() == Some(&EOF) {
            let mut switch = Fields(&answer[1..]);
            let plugin = switch.until_nul()?;
            if plugin != PLUGIN.as_bytes() {
                let plugin = String::from_utf8_lossy(plugin);
                return Err(Failure::new(format!("the server asks for `{plugin}`, which this client does not speak")));
            }
            let token = token(&door.password, switch.take(SALT_BYTES)?);
            session.send(&token).await?;
            answer = session.packet().await?;
        }
        match answer.first() {
            Some(&OK) => Ok(session),
            Some(&ERR) => Err(Failure::new(refusal(Fields(&answer[1..]))?.message)),
            other => Err(unexpected("an answer to the login", other.copied().unwrap_or_default())),
        }
    }

    /// Reads the answer to a statement to its end.
    async fn result(&mut self) -> Result<Reading, Failure> {
        let mut reading = Reading::default();
        let head = self.packet().await?;
        let mut head = Fields(&head);
        let columns = match head.0.first() {
            Some(&OK) => return Ok(reading),
            Some(&ERR) => {
                reading.refusal = Some(refusal(Fields(&head.0[1..]))?);
                return Ok(reading);
            }
            Some(&LOCAL_INFILE) => return Err(Failure::new("the server asks for a file in answer to a statement")),
            _ => head.length()?,
        };
        let names = self.columns(columns).await?;
        let id = names.iter().position(|name| name == b"id");
        loop {
            let row = self.packet().await?;
            match row.first() {
                Some(&EOF) if row.len() <= EOF_BYTES_MAX => return Ok(reading),
                Some(&ERR) => {
                    reading.refusal = Some(refusal(Fields(&row[1..]))?);
                    return Ok(reading);
                }
                _ => {
                    reading.rows += 1;
                    reading.ids.extend(id.and_then(|id| number(Fields(&row), id)));
                }
            }
        }
    }

    /// Reads so many column definitions and the EOF behind them; returns the names.
    async fn columns(&mut self, count: u64) -> Result<Vec<Vec<u8>>, Failure> {
        let mut names = Vec::new();
        for _ in 0..count {
            let definition = self.packet().await?;
            let mut definition = Fields(&definition);
            // Catalog, schema, table and the table's own name stand before it.
            for _ in 0..4 {
                definition.text()?;
            }
            names.push(definition.text()?.unwrap_or_default().to_vec());
        }
        let end = self.packet().await?;
        match end.first() {
            Some(&EOF) if end.len() <= EOF_BYTES_MAX => Ok(names),
            other => Err(unexpected("the end of the columns", other.copied().unwrap_or_default())),
        }
    }

    async fn command(&mut self, command: u8, body: &[u8]) -> Result<(), Failure> {
        self.sequence = 0;
        self.send(&[&[command], body].concat()).await
    }

    async fn send(&mut self, body: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        if body.len() >= PACKET_BYTES_MAX {
            return Err(Failure::new("a statement is longer than this client sends"));
        }
        let packet = [&length[..3], &[self.sequence], body].concat();
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.get_mut().write_all(&packet).await.context("cannot send")
    }

    async fn packet(&mut self) -> Result<Vec<u8>, Failure> {
        let doing = "the connection ended in the middle of an answer";
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await.context(doing)?;
        let [low, middle, high, sequence] = header;
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        if sequence != self.sequence {
            return Err(Failure::new(format!("packet {sequence} came where {} was due", self.sequence)));
        }
        if length == 0 || length >= PACKET_BYTES_MAX {
            return Err(Failure::new(format!("a packet of {length} bytes, which nothing here should be")));
        }
        self.sequence = self.sequence.wrapping_add(1);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.context(doing)?;
        Ok(body)
    }
}

/// The salt in the server's greeting.
fn salt(mut greeting: Fields<'_>) -> Result<Vec<u8>, Failure> {
    match greeting.byte()? {
        10 => {}
        ERR => return Err(Failure::new(refusal(greeting)?.message)),
        other => return Err(unexpected("a greeting of protocol version 10", other)),
    }
    greeting.until_nul()?;
    // Number of the connection.
    greeting.take(4)?;
    let mut salt = greeting.take(8)?.to_vec();
    greeting.byte()?;
    let low = greeting.short()?;
    // Character set, status.
    greeting.take(3)?;
    let capabilities = u32::from(low) | u32::from(greeting.short()?) << 16;
    if CAPABILITIES & !capabilities & !1 != 0 || capabilities & PLUGIN_AUTH == 0 {
        return Err(Failure::new(format!("the server offers {capabilities:#x}, this client needs {CAPABILITIES:#x}")));
    }
    // Length of the salt, reserved.
    greeting.take(11)?;
    salt.extend(greeting.take(SALT_BYTES - 8)?);
    Ok(salt)
}

fn login(account: &str, password: &str, database: &str, salt: &[u8]) -> Vec<u8> {
    let token = token(password, salt);
    let mut body = CAPABILITIES.to_le_bytes().to_vec();
    let longest = u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX);
    body.extend(longest.to_le_bytes());
    body.push(UTF8MB4_GENERAL_CI);
    body.extend([0; 23]);
    body.extend([account.as_bytes(), &[0]].concat());
    body.push(u8::try_from(token.len()).unwrap_or_default());
    body.extend(token);
    for text in [database, PLUGIN] {
        body.extend([text.as_bytes(), &[0]].concat());
    }
    body
}

/// What proves the password: `SHA1(password) xor SHA1(salt SHA1(SHA1(password)))`.
fn token(password: &str, salt: &[u8]) -> [u8; SHA1_OUTPUT_LEN] {
    let sha1 = |parts: &[&[u8]]| {
        let mut digest = Digest::new(&SHA1_FOR_LEGACY_USE_ONLY);
        parts.iter().for_each(|part| digest.update(part));
        digest.finish()
    };
    let once = sha1(&[password.as_bytes()]);
    let mask = sha1(&[salt, sha1(&[once.as_ref()]).as_ref()]);
    let mut token = [0; SHA1_OUTPUT_LEN];
    for (byte, (one, other)) in token.iter_mut().zip(once.as_ref().iter().zip(mask.as_ref())) {
        *byte = one ^ other;
    }
    token
}

/// An error packet behind its first byte.
fn refusal(mut error: Fields<'_>) -> Result<Refusal, Failure> {
    let number = Some(error.short()?);
    let sqlstate = match error.0.first() {
        Some(b'#') => String::from_utf8_lossy(&error.take(6)?[1..]).into_owned(),
        _ => "HY000".to_owned(),
    };
    let message = String::from_utf8_lossy(error.0).into_owned();
    Ok(Refusal { number, sqlstate, message, detail: None, hint: None })
}

/// The number in a column of a row of text.
fn number(mut row: Fields<'_>, column: usize) -> Option<i64> {
    for _ in 0..column {
        row.text().ok()?;
    }
    str::from_utf8(row.text().ok()??).ok()?.parse().ok()
}

fn unexpected(wanted: &str, came: u8) -> Failure {
    Failure::new(format!("a packet that begins with {came:#04x} came instead of {wanted}"))
}

/// What is left of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| Failure::new("a packet ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Failure> {
        Ok(self.take(1)?[0])
    }

    fn short(&mut self) -> Result<u16, Failure> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn until_nul(&mut self) -> Result<&'a [u8], Failure> {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    fn length(&mut self) -> Result<u64, Failure> {
        let count = match self.byte()? {
            short @ 0..=0xfa => return Ok(u64::from(short)),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            other => return Err(unexpected("a length", other)),
        };
        let mut bytes = [0; 8];
        bytes[..count].copy_from_slice(self.take(count)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// A text with its length before it; `None` for NULL.
    fn text(&mut self) -> Result<Option<&'a [u8]>, Failure> {
        if self.0.first() == Some(&0xfb) {
            self.byte()?;
            return Ok(None);
        }
        let length = usize::try_from(self.length()?).context("a length")?;
        Ok(Some(self.take(length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, number, refusal, salt, token};

    /// Worked out with the server's own `PASSWORD()`: what it stores is SHA1(SHA1(password)), and undoing the mask with
    /// it must give SHA1(password) again.
    #[test]
    fn a_token_is_what_the_server_undoes() {
        use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
        let salt = *b"abcdefghijklmnopqrst";
        let stored = digest(&SHA1_FOR_LEGACY_USE_ONLY, digest(&SHA1_FOR_LEGACY_USE_ONLY, b"secret").as_ref());
        let hex: String = stored.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, "14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
        let mask = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&salt[..], stored.as_ref()].concat());
        let once: Vec<u8> = token("secret", &salt).iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest(&SHA1_FOR_LEGACY_USE_ONLY, &once).as_ref(), stored.as_ref());
    }

    #[test]
    fn a_row_of_text_is_read_to_the_column() {
        let row = b"\x02ab\xfb\x0242\x01x";
        assert_eq!(number(Fields(row), 2), Some(42));
        assert_eq!(number(Fields(row), 1), None);
        assert_eq!(number(Fields(row), 3), None);
        assert_eq!(number(Fields(row), 4), None);
        assert_eq!(number(Fields(b"\x05ab"), 0), None);
    }

    #[test]
    fn lengths_are_read_in_all_their_forms() {
        let length = |bytes| Fields(bytes).length().ok();
        assert_eq!(length(b"\xfa"), Some(250));
        assert_eq!(length(b"\xfc\x00\x01"), Some(256));
        assert_eq!(length(b"\xfd\x00\x00\x01"), Some(65_536));
        assert_eq!(length(b"\xfe\x00\x00\x00\x00\x01\x00\x00\x00"), Some(1 << 32));
        assert_eq!(length(b"\xff"), None);
        assert_eq!(length(b"\xfd\x00"), None);
    }

    #[test]
    fn an_error_has_a_number_a_state_and_a_text() {
        let told = refusal(Fields(b"\x17\x04#42000no more")).unwrap();
        assert_eq!((told.number, told.sqlstate.as_str(), told.message.as_str()), (Some(1047), "42000", "no more"));
        // Before the login the server leaves the state out.
        let told = refusal(Fields(b"\x17\x04no more")).unwrap();
        assert_eq!((told.sqlstate.as_str(), told.message.as_str()), ("HY000", "no more"));
        assert!(refusal(Fields(b"\x17\x04#42")).is_err());
    }

    #[test]
    fn a_greeting_that_ends_too_early_is_told() {
        let whole = [
            &b"\x0a10.11-MariaDB\0\x01\0\0\0abcdefgh\0\xfe\xff\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0"[..],
            b"ijklmnopqrst\0mysql_native_password\0",
        ]
        .concat();
        assert_eq!(salt(Fields(&whole)).unwrap(), b"abcdefghijklmnopqrst");
        for end in 0..whole.len() - 23 {
            assert!(salt(Fields(&whole[..end])).is_err(), "{end}");
        }
    }
}
