//! A page that looks at a machine, as far as the hub can tell.

use super::site::{Browser, Site};
use awc::Client;
use awc::error::{WsClientError, WsProtocolError};
use awc::ws::{Frame, Message as Piece};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use hightower::viewer::{Canvas, Picture};
use hightower_proto::message::{Acknowledge, Hello, Ping, State};
use hightower_proto::png::Header;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The bytes of a WebSocket.
pub(crate) trait Socket:
    Stream<Item = Result<Frame, WsProtocolError>> + Sink<Piece, Error = WsProtocolError> + Unpin
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Frame, WsProtocolError>> + Sink<Piece, Error = WsProtocolError> + Unpin
{
}

pub(crate) struct Tab {
    socket: Box<dyn Socket>,
    decoder: Decoder,
    canvas: Canvas,
    /// How the machine stands, as it was told last.
    pub(crate) link: Value,
    pub(crate) state: Option<State>,
    pub(crate) updates: u64,
    pub(crate) bytes: u64,
}

impl Tab {
    /// Looks at the n-th machine.
    pub(crate) async fn open(site: &Site, browser: &Browser, n: usize, scale: u32) -> Self {
        let origin = Some(site.url(""));
        let socket = Self::knock(site, browser, n, scale, origin.as_deref()).await.unwrap();
        let decoder = Decoder::new(Options::viewer());
        let canvas = Canvas::new(Limits::default());
        let (link, state, updates, bytes) = (Value::Null, None, 0, 0);
        let mut tab = Self { socket, decoder, canvas, link, state, updates, bytes };
        tab.say(&Message::Hello(Hello { delta: true, ..Hello::new("test") })).await;
        tab
    }

    /// Asks for a WebSocket from a page of this origin.
    pub(crate) async fn knock(
        site: &Site,
        browser: &Browser,
        n: usize,
        scale: u32,
        origin: Option<&str>,
    ) -> Result<Box<dyn Socket>, WsClientError> {
        let host = site.agents[n].address;
        let url = site.url(&format!("/api/v1/hosts/{host}/stream?scale={scale}"));
        // A connection of its own: one that was kept may have ended with the hub.
        let client = Client::default();
        let mut request = client.ws(url).set_header("cookie", &*browser.cookie);
        if let Some(origin) = origin {
            request = request.origin(origin);
        }
        let (_, socket) = request.max_frame_size(64 << 20).connect().await?;
        Ok(Box::new(socket))
    }

    pub(crate) async fn say(&mut self, message: &Message) {
        self.socket.send(Piece::Binary(message.encode())).await.unwrap();
    }

    /// Says what makes no sense.
    pub(crate) async fn shout(&mut self) {
        self.socket.send(Piece::Text("hello".into())).await.unwrap();
    }

    /// The next picture, acknowledged.
    pub(crate) async fn picture(&mut self) -> Picture {
        let picture = timeout(PATIENCE, self.next_picture()).await.expect("a picture");
        let version = picture.version.unwrap();
        self.say(&Message::Acknowledge(Acknowledge { version })).await;
        picture
    }

    /// The version of the next update, acknowledged and not looked at.
    pub(crate) async fn pass(&mut self) -> u64 {
        loop {
            match self.item().await.expect("the hub has closed") {
                Item::Frame(frame) => {
                    let header = Header::parse(&frame, &Limits::default()).unwrap();
                    let frame = header.frame.expect("an htFr chunk");
                    if frame.last {
                        let version = frame.version;
                        self.updates += 1;
                        self.say(&Message::Acknowledge(Acknowledge { version })).await;
                        return version;
                    }
                }
                Item::Packet(packet) => self.hear(Message::parse(&packet).unwrap()),
            }
        }
    }

    /// Loses what it had, and says so; what is on its way is passed over.
    pub(crate) async fn forget(&mut self) {
        self.say(&Message::Refresh).await;
        let forget = async {
            loop {
                match self.item().await.expect("the hub has closed") {
                    Item::Frame(frame) => {
                        let header = Header::parse(&frame, &Limits::default()).unwrap();
                        if header.frame.is_some_and(|frame| frame.is_key()) {
                            break frame;
                        }
                    }
                    Item::Packet(packet) => self.hear(Message::parse(&packet).unwrap()),
                }
            }
        };
        let frame = timeout(PATIENCE, forget).await.expect("a key frame");
        self.canvas = Canvas::new(Limits::default());
        self.show(&frame).await;
    }

    async fn next_picture(&mut self) -> Picture {
        loop {
            match self.item().await.expect("the hub has closed") {
                Item::Frame(frame) => {
                    let picture = self.canvas.apply(&frame, Instant::now()).unwrap();
                    if let Some(picture) = picture {
                        self.updates += 1;
                        return picture;
                    }
                }
                Item::Packet(packet) => self.hear(Message::parse(&packet).unwrap()),
            }
        }
    }

    /// Hears what is told of the machine until it is so; pictures are shown meanwhile.
    pub(crate) async fn hear_until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let hear = async {
            while !so(self) {
                match self.item().await.expect("the hub has closed") {
                    Item::Frame(frame) => self.show(&frame).await,
                    Item::Packet(packet) => self.hear(Message::parse(&packet).unwrap()),
                }
            }
        };
        timeout(PATIENCE, hear).await.expect(what);
    }

    /// How many updates have come, and were not looked at.
    pub(crate) async fn waiting(&mut self) -> usize {
        // What it is asked is answered after all that was sent before.
        self.say(&Message::Ping(Ping { clock_us: 1 })).await;
        let mut updates = 0;
        let count = async {
            loop {
                match self.item().await.expect("the hub has closed") {
                    Item::Frame(frame) => {
                        let header = Header::parse(&frame, &Limits::default()).unwrap();
                        updates += usize::from(header.frame.is_some_and(|frame| frame.last));
                    }
                    Item::Packet(packet) => {
                        if let Message::Pong(_) = Message::parse(&packet).unwrap() {
                            return;
                        }
                    }
                }
            }
        };
        timeout(PATIENCE, count).await.expect("an answer");
        updates
    }

    async fn show(&mut self, frame: &[u8]) {
        let picture = self.canvas.apply(frame, Instant::now()).unwrap();
        if let Some(version) = picture.and_then(|picture| picture.version) {
            self.updates += 1;
            self.say(&Message::Acknowledge(Acknowledge { version })).await;
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Struct(link) => self.link = link,
            Message::State(state) => self.state = Some(state),
            Message::Welcome(welcome) => self.state = Some(welcome.state),
            other => panic!("{other:?}"),
        }
    }

    /// The next item; `None` once the hub has closed.
    pub(crate) async fn item(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.decoder.next_item().unwrap() {
                return Some(item);
            }
            match self.socket.next().await {
                Some(Ok(Frame::Binary(bytes))) => {
                    self.bytes += bytes.len() as u64;
                    self.decoder.buffer().extend_from_slice(&bytes);
                }
                Some(Ok(Frame::Ping(bytes))) => {
                    self.socket.send(Piece::Pong(bytes)).await.unwrap();
                }
                Some(Ok(Frame::Close(_))) | None => return None,
                Some(other) => panic!("{other:?}"),
            }
        }
    }
}
