//! Counter: where the person at the machine takes part, through the console.

use super::{Attendance, Bell, Chat, Come, Speak, Speaker};
use crate::console::{Answer, Ask};
use actix::Addr;
use hightower_proto::Command;
use hightower_proto::message::{Join, Reply, Room};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

/// The longest line that is taken, in bytes: a message, each byte of it written as six.
const MAX_LINE: u64 = 32 << 10;

/// Answers that may wait for the person's program.
const WAITING: usize = 4;

/// How long that may take nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// The line between the person's program and the room.
type Stream = BufReader<UnixStream>;

/// Lets the person take part for as long as their program stays.
pub(in crate::agent) async fn serve(
    stream: Stream,
    chat: Addr<Chat>,
    join: Join,
) -> io::Result<()> {
    let bell = Arc::new(Notify::new());
    let (reader, mut writer) = tokio::io::split(stream);
    let come = Come { speaker: Speaker::Person, join, bell: Bell::Counter(Arc::clone(&bell)) };
    let attendance = match chat.send(come).await {
        Ok(Ok((attendance, room, joined))) => {
            let joined = Room { room, joined: Some(joined), ..Room::default() };
            say(&mut writer, &Answer::Room(joined)).await?;
            attendance
        }
        Ok(Err(refusal)) => {
            return say(&mut writer, &Answer::Refused { why: refusal.to_string() }).await;
        }
        Err(_) => {
            return say(&mut writer, &Answer::Refused { why: "the agent stops".into() }).await;
        }
    };
    let (answers, answered) = mpsc::channel(WAITING);
    tokio::select! {
        read = hear(BufReader::new(reader), chat, answers) => read,
        written = tell(writer, &attendance, &bell, answered) => written,
    }
}

/// Takes what the person says.
async fn hear(
    mut reader: BufReader<ReadHalf<Stream>>,
    chat: Addr<Chat>,
    answers: mpsc::Sender<Reply>,
) -> io::Result<()> {
    let of = Command::Say.code();
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_slice(&line) {
            Ok(Ask::Say(said)) => {
                let number = Some((said.member, said.number));
                let speak = Speak { speaker: Speaker::Person, number, text: said.text };
                match chat.send(speak).await {
                    Ok(said) => super::reply(of, said),
                    Err(_) => return Ok(()),
                }
            }
            Ok(_) => Reply::refused(of, "this is a chat, and takes what is said"),
            Err(e) => Reply::refused(of, e.to_string()),
        };
        // An error says that nothing is written any more.
        if answers.send(reply).await.is_err() {
            return Ok(());
        }
    }
}

/// Tells the person what happens.
async fn tell(
    mut writer: WriteHalf<Stream>,
    attendance: &Attendance,
    bell: &Notify,
    mut answers: mpsc::Receiver<Reply>,
) -> io::Result<()> {
    loop {
        tokio::select! {
            Some(reply) = answers.recv() => say(&mut writer, &Answer::Reply(reply)).await?,
            () = bell.notified() => loop {
                let room = match attendance.take().await {
                    Ok((room, taken)) => super::news(room, taken),
                    Err(_) => return Ok(()),
                };
                let Some(room) = room else { break };
                let is_out = room.out.is_some();
                say(&mut writer, &Answer::Room(room)).await?;
                if is_out {
                    return Ok(());
                }
            },
        }
    }
}

async fn say(writer: &mut WriteHalf<Stream>, answer: &Answer) -> io::Result<()> {
    let line = format!("{}\n", serde_json::to_string(answer)?);
    timeout(PATIENCE, async {
        writer.write_all(line.as_bytes()).await?;
        writer.flush().await
    })
    .await?
}
