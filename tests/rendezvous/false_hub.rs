//! A hub that joins operators with whom it likes, and changes what they say.

use futures_util::{SinkExt, StreamExt};
use hightower::trust::PublicKey;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// In which direction a bit is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToOperator,
    ToAgent,
}

/// What it does to those who come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deceit {
    /// The agent that operators are joined with.
    pub(crate) agent: SocketAddr,
    /// The key that it is said to have.
    pub(crate) said: PublicKey,
    /// The byte in that direction of which a bit is changed.
    pub(crate) bit: Option<(Way, usize)>,
}

pub(crate) struct FalseHub {
    pub(crate) address: SocketAddr,
    /// How many bytes have gone to operators.
    pub(crate) told: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl FalseHub {
    pub(crate) fn open(deceit: Deceit) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, told) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&told);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // How it ends, both ends see.
                tokio::spawn(join(stream, deceit, Arc::clone(&count)));
            }
        });
        Self { address, told, runtime: Some(runtime) }
    }
}

impl Drop for FalseHub {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn join(stream: TcpStream, deceit: Deceit, told: Arc<AtomicUsize>) -> Option<()> {
    let Deceit { agent, said, bit } = deceit;
    let mut socket = accept_async(stream).await.ok()?;
    let say = |word: serde_json::Value| Message::text(word.to_string());
    let challenge = json!({ "challenge": { "nonce": "ab".repeat(32), "time_ms": 1 } });
    socket.send(say(challenge)).await.ok()?;
    // It believes whatever they say.
    socket.next().await?.ok()?;
    let machine =
        json!({ "name": "lab-07", "key": said.to_string(), "here": true, "addresses": [] });
    socket.send(say(json!({ "machine": machine }))).await.ok()?;
    socket.next().await?.ok()?;
    let (mut from_agent, mut to_agent) = TcpStream::connect(agent).await.ok()?.into_split();
    socket.send(say(json!({ "open": {} }))).await.ok()?;
    let (mut to_operator, mut from_operator) = socket.split();
    let change = move |way, before: usize, bytes: &mut [u8]| {
        if let Some((_, at)) = bit.filter(|(one, _)| *one == way)
            && let Some(byte) = at.checked_sub(before).and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1;
        }
    };
    let there = async {
        let mut before = 0;
        while let Some(Ok(message)) = from_operator.next().await {
            if let Message::Binary(bytes) = message {
                let mut bytes = bytes.to_vec();
                change(Way::ToAgent, before, &mut bytes);
                before += bytes.len();
                to_agent.write_all(&bytes).await.ok()?;
            }
        }
        Some(())
    };
    let back = async {
        let (mut before, mut piece) = (0, vec![0; 4096]);
        loop {
            let read = from_agent.read(&mut piece).await.ok().filter(|read| *read > 0)?;
            let bytes = &mut piece[..read];
            change(Way::ToOperator, before, bytes);
            before += read;
            told.store(before, Ordering::Relaxed);
            to_operator.send(Message::Binary(Bytes::copy_from_slice(bytes))).await.ok()?;
        }
    };
    // Whichever ends first ends both.
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}
