//! What carries the messages of a session, until it ends.

use crate::error::chain;
use crate::inbound::Inbound;
use crate::tcp::TcpStream;
use crate::tls::Encrypted;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio_postgres::Connection;

/// A connection as the driver has it: it moves only while somebody polls it.
pub type Driver = Connection<Inbound<TcpStream>, Inbound<Encrypted>>;

pub struct Wire {
    /// `None` when it is over.
    driver: Option<Box<Driver>>,
    /// Why it is over, in words for an operator.
    end: String,
}

impl Wire {
    pub fn new(driver: Driver) -> Self {
        Self {
            driver: Some(Box::new(driver)),
            end: String::new(),
        }
    }

    /// Why it is over, if it is.
    pub fn end(&self) -> Option<&str> {
        self.driver.is_none().then_some(&self.end)
    }

    /// Ends it at once.
    pub fn cut(&mut self, reason: &str) {
        self.driver = None;
        self.end = reason.to_owned();
    }

    /// Runs `work`, which waits for messages.
    pub async fn carry<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            // Before, because it may be over, and afterwards, because messages may have come for it.
            if let Poll::Ready(result) = work.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            self.advance(context);
            work.as_mut().poll(context)
        })
        .await
    }

    /// Learns of what has come while nobody waited for it, such as the end.
    pub async fn notice(&mut self) {
        poll_fn(|context| {
            self.advance(context);
            Poll::Ready(())
        })
        .await;
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        if let Poll::Ready(ended) = Pin::new(&mut **driver).poll(context) {
            self.cut(&ended.map_or_else(|error| chain(&error), |()| "it was closed".to_owned()));
        }
    }
}

impl Drop for Wire {
    /// Tells the server that it is over, if nobody can send it anything any more.
    fn drop(&mut self) {
        self.advance(&mut Context::from_waker(Waker::noop()));
    }
}
