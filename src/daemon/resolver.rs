//! Host names of the network file become addresses, by the machine's own resolver (`getaddrinfo`).

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tokio::task::JoinSet;

/// An answer later than this counts as none; the engine asks again.
const PATIENCE: Duration = Duration::from_secs(5);
/// `getaddrinfo` cannot be interrupted and holds a thread for as long as a dead server takes.
const AT_ONCE: usize = 4;

/// An answered question. No addresses: the name could not be resolved.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The name asked for.
    pub host: String,
    /// Its addresses in the resolver's order, each once.
    pub addresses: Vec<IpAddr>,
}

/// Questions in progress and waiting; a name is asked for once at a time.
#[derive(Default)]
pub struct Resolver {
    asked: BTreeSet<String>,
    waiting: VecDeque<String>,
    running: JoinSet<Resolved>,
}

impl Resolver {
    /// Asks for the addresses of `host`.
    pub fn ask(&mut self, host: String) {
        if self.asked.insert(host.clone()) {
            self.waiting.push_back(host);
            self.start();
        }
    }

    /// Waits for an answer; for ever when nothing was asked. May be dropped and called again.
    pub async fn next(&mut self) -> Resolved {
        let Some(ended) = self.running.join_next().await else { return std::future::pending().await };
        let resolved = match ended {
            Ok(resolved) => resolved,
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        };
        self.asked.remove(&resolved.host);
        self.start();
        resolved
    }

    fn start(&mut self) {
        while self.running.len() < AT_ONCE {
            let Some(host) = self.waiting.pop_front() else { return };
            self.running.spawn(resolve(host));
        }
    }
}

async fn resolve(host: String) -> Resolved {
    let mut addresses = Vec::new();
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), 0))).await {
        Ok(Ok(found)) => {
            for address in found.map(|a| a.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Ok(Err(e)) => tracing::debug!(host, "cannot resolve: {e}"),
        Err(_) => tracing::debug!(host, "cannot resolve: no answer within {} s", PATIENCE.as_secs()),
    }
    Resolved { host, addresses }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_name_is_answered_once() {
        let mut resolver = Resolver::default();
        for _ in 0..3 {
            resolver.ask("localhost".into());
        }
        resolver.ask("name.invalid".into());
        let mut answers = [resolver.next().await, resolver.next().await];
        answers.sort_by(|a, b| a.host.cmp(&b.host));
        assert!(answers[0].addresses.iter().any(IpAddr::is_loopback), "{answers:?}");
        assert_eq!(answers[1], Resolved { host: "name.invalid".into(), addresses: vec![] });
        assert!(resolver.asked.is_empty());
    }
}
