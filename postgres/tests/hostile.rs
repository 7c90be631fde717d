//! A server that means harm.

use crate::support::{TestDatabase, block_on, databases, dedicated_pid, soon};
use futures_util::FutureExt;
use pipelined_postgres::Error;
use procfs::process::Process;
use std::collections::HashMap;
use std::time::Duration;
use std::{fs, io, iter};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const NAME: u32 = 19;
const CHAR: u32 = 18;
const OID: u32 = 26;

/// The columns of the driver's question for a type: name, kind, type of its elements, of its range, of its domain, schema, and
/// table.
const TYPE_COLUMNS: [u32; 7] = [NAME, CHAR, OID, OID, OID, NAME, OID];

/// More types within each other than one statement may have, and so many that two statements have more.
const TOO_MANY: u32 = 100_000;
const MANY: u32 = 400;

/// A flood of messages: 500 MB.
const FLOOD_MESSAGES: usize = 50_000;
const MESSAGE_BYTES: usize = 10_000;

#[test]
fn types_without_end_end_the_statement_and_not_the_process() {
    block_on(async {
        let address = server(answer_with_types).await;
        let databases = databases();
        let mut session = databases.open(&address).await.unwrap();
        let mut with_types = async |count: u32| {
            let sql = format!("SELECT {count}");
            soon("an answer", session.query(&sql, &[])).await
        };
        for _ in 0..2 {
            let answer = with_types(TOO_MANY).await;
            assert!(matches!(answer, Err(Error::TooManyTypes)));
        }
        with_types(MANY).await.unwrap();
        // It is not enough that half of them are known.
        let answer = with_types(2 * MANY).await;
        assert!(matches!(answer, Err(Error::TooManyTypes)));
    });
}

#[test]
fn parameters_without_end_take_no_memory() {
    block_on(async {
        let address = server(async |stream| {
            let mut stream = begin(stream).await?;
            send(&mut stream, b'Z', b"I").await?;
            for number in 0..FLOOD_MESSAGES {
                let parameter = format!("p{number}\0{}\0", "x".repeat(MESSAGE_BYTES));
                send(&mut stream, b'S', parameter.as_bytes()).await?;
            }
            send(&mut stream, b'E', b"SERROR\0CXX000\0Mat last\0\0").await?;
            send(&mut stream, b'Z', b"I").await?;
            stream.flush().await?;
            wait_for_end(stream).await
        });
        let address = address.await;
        let peak = Peak::start();
        let databases = databases();
        let mut session = databases.open(&address).await.unwrap();
        let answer = soon("an answer", session.query("SELECT 1", &[])).await;
        assert!(matches!(answer, Err(Error::Database(error)) if error.message() == "at last"));
        peak.assert_below(FLOOD_MESSAGES * MESSAGE_BYTES / 2);
    });
}

#[test]
fn notices_without_end_end_the_attempt_to_connect() {
    block_on(async {
        let address = server(async |stream| {
            let mut stream = begin(stream).await?;
            loop {
                let notice = format!("SNOTICE\0C00000\0M{}\0\0", "x".repeat(MESSAGE_BYTES));
                send(&mut stream, b'N', notice.as_bytes()).await?;
            }
        });
        let address = address.await;
        let peak = Peak::start();
        let databases = databases();
        let opened = soon("a session", databases.open(&address)).await;
        assert!(matches!(opened, Err(Error::Unreachable(_))));
        peak.assert_below(FLOOD_MESSAGES * MESSAGE_BYTES / 2);
    });
}

#[test]
fn a_message_that_is_announced_as_huge_is_not_waited_for() {
    block_on(async {
        let address = server(async |stream| {
            let mut stream = begin(stream).await?;
            send(&mut stream, b'Z', b"I").await?;
            stream.flush().await?;
            stream.read_u8().await?;
            stream.write_u8(b'E').await?;
            stream.write_u32(i32::MAX as u32).await?;
            stream.flush().await?;
            wait_for_end(stream).await
        });
        let databases = databases();
        let mut session = databases.open(&address.await).await.unwrap();
        let answer = soon("an answer", session.query("SELECT 1", &[])).await;
        assert!(matches!(answer, Err(Error::Lost(_) | Error::NotRun(_))));
    });
}

#[test]
fn a_value_that_is_too_large_is_an_error_and_takes_no_memory() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let process = dedicated_pid(&mut session).await;
        let peak = Peak::start();
        let huge = "SELECT repeat('x', 500000000)";
        let answer = soon("an answer", session.query(huge, &[])).await;
        assert!(matches!(answer, Err(Error::AnswerTooLarge)));
        peak.assert_below(250_000_000);
        // The connection goes on.
        assert_eq!(dedicated_pid(&mut session).await, process);
    });
}

#[test]
fn cancellations_do_not_pile_up_before_a_server_that_has_stopped() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = format!("postgres://ann@127.0.0.1:{port}/people?sslmode=disable");
        let databases = databases();
        let serving = async {
            let (stream, _) = listener.accept().await?;
            let mut stream = begin(stream).await?;
            send(&mut stream, b'Z', b"I").await?;
            stream.flush().await?;
            io::Result::Ok(stream)
        };
        let (session, stream) = tokio::join!(databases.open(&address), serving);
        let (mut session, _stream) = (session.unwrap(), stream.unwrap());
        // From now on, clients only wait in the queue of the listener.
        let answer = timeout(Duration::from_millis(10), session.query("SELECT 1", &[]));
        assert!(answer.await.is_err());
        sleep(Duration::from_secs(5)).await;
        let waiting = iter::from_fn(|| listener.accept().now_or_never());
        let waiting = waiting.count();
        assert!((1..=3).contains(&waiting), "{waiting} cancellations in 5 s");
    });
}

/// What this process takes more than at the start.
struct Peak(usize);

impl Peak {
    fn start() -> Self {
        // Forgets the peak until now (proc(5)).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Self(Self::now())
    }

    fn now() -> usize {
        let status = Process::myself().and_then(|process| process.status());
        let kib = status.unwrap().vmhwm.unwrap();
        kib as usize * 1024
    }

    #[track_caller]
    fn assert_below(self, bytes: usize) {
        let grown = Self::now().saturating_sub(self.0);
        assert!(grown < bytes, "{grown} bytes more than at the start");
    }
}

/// A server that treats its clients in this way. Returns its address.
async fn server<F>(treat: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let treating = treat(stream);
            // It ends with its client.
            tokio::spawn(async { treating.await.unwrap_or_default() });
        }
    });
    format!("postgres://ann@127.0.0.1:{port}/people?sslmode=disable")
}

/// Lets any client in. The session is not ready yet.
async fn begin(stream: TcpStream) -> io::Result<BufStream<TcpStream>> {
    let mut stream = BufStream::new(stream);
    let length = stream.read_u32().await?;
    stream.read_exact(&mut vec![0; length as usize - 4]).await?;
    send(&mut stream, b'R', &0_u32.to_be_bytes()).await?;
    Ok(stream)
}

async fn wait_for_end(mut stream: BufStream<TcpStream>) -> io::Result<()> {
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Speaks the protocol as far as the driver needs it (PostgreSQL documentation, "Message Formats"). The column of `SELECT 3`
/// has a type with three more within it, each within the one before.
async fn answer_with_types(stream: TcpStream) -> io::Result<()> {
    let mut stream = begin(stream).await?;
    send(&mut stream, b'Z', b"I").await?;
    stream.flush().await?;
    // How many types a statement has, by its name. `None` if it asks for a type.
    let mut statements = HashMap::new();
    loop {
        let kind = stream.read_u8().await?;
        let length = stream.read_u32().await?;
        let mut content = vec![0; length as usize - 4];
        stream.read_exact(&mut content).await?;
        let mut texts = content.split(|byte| *byte == 0);
        let [first, second] = [(); 2].map(|()| texts.next().unwrap_or_default().to_vec());
        match kind {
            b'P' => {
                let sql = String::from_utf8_lossy(&second);
                let count = sql
                    .strip_prefix("SELECT ")
                    .and_then(|count| count.parse().ok());
                statements.insert(first, count);
                send(&mut stream, b'1', b"").await?;
            }
            b'D' => {
                let count: Option<u32> = statements[&first[1..]];
                let (parameters, columns) = match count {
                    None => (vec![OID], TYPE_COLUMNS.to_vec()),
                    Some(count) => (vec![], vec![u32::MAX - count]),
                };
                send(
                    &mut stream,
                    b't',
                    &counted(parameters.iter().map(|one| one.to_be_bytes().to_vec())),
                )
                .await?;
                send(
                    &mut stream,
                    b'T',
                    &counted(columns.iter().map(|one| column(*one))),
                )
                .await?;
            }
            b'B' => {
                send(&mut stream, b'2', b"").await?;
                if statements[&second].is_some() {
                    send(&mut stream, b'C', b"SELECT 0\0").await?;
                    continue;
                }
                // The one parameter, before the one format of the results.
                let end = content.len() - 4;
                let asked = u32::from_be_bytes(content[end - 4..end].try_into().unwrap());
                // The last type has none within it.
                let element = asked.wrapping_add(1);
                let fields = [
                    b"t".to_vec(),
                    b"b".to_vec(),
                    element.to_be_bytes().to_vec(),
                    vec![0; 4],
                    vec![0; 4],
                    b"public".to_vec(),
                    vec![0; 4],
                ];
                let fields =
                    fields.map(|field| [&(field.len() as u32).to_be_bytes(), &field[..]].concat());
                send(&mut stream, b'D', &counted(fields.into_iter())).await?;
                send(&mut stream, b'C', b"SELECT 1\0").await?;
            }
            b'S' => {
                send(&mut stream, b'Z', b"I").await?;
                stream.flush().await?;
            }
            _ => {}
        }
    }
}

/// So many parts, and the parts.
fn counted(parts: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut content = (parts.len() as u16).to_be_bytes().to_vec();
    content.extend(parts.flatten());
    content
}

/// A column of a type: name, table and its column, type with size and modifier, format.
fn column(of: u32) -> Vec<u8> {
    [b"c\0".as_slice(), &[0; 6], &of.to_be_bytes(), &[0; 8]].concat()
}

async fn send(stream: &mut BufStream<TcpStream>, kind: u8, content: &[u8]) -> io::Result<()> {
    stream.write_u8(kind).await?;
    stream.write_u32(content.len() as u32 + 4).await?;
    stream.write_all(content).await
}
