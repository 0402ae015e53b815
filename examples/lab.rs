//! The README's four boxes on this one machine: network namespaces, routers, real daemons. Needs root.
//!
//! `cargo run --release --example lab` builds it, prints who reaches whom by which path whenever that changes, kills and
//! starts boxes as it is told (`kill beta`, `start beta`), and ends at Ctrl-C. Nothing is left behind, not even by a
//! crash: the namespaces have no names, and the kernel ends the daemons with this program.
//!
//! The daemons are this very program, started under the name `wgnet`.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    if std::env::args_os().next().is_some_and(|name| std::path::Path::new(&name).ends_with("wgnet")) {
        return wgnet::cli::main();
    }
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("the lab needs Linux: it is made of network namespaces");
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people, in real time")]
mod linux {
    use std::io::IsTerminal;
    use std::path::PathBuf;
    use std::process::ExitCode;
    use std::time::{Duration, Instant};

    use netns_tests::topology::FourBoxes;
    use netns_tests::{Lab, Load, Node, node};
    use tokio::sync::mpsc;
    use wgnet_api::PathKind;

    const DRAWING: &str = "
   alpha 198.51.100.1          beta 198.51.100.2
   [firewall]                    | (the static peer of the network file)
     |                           |
     '---------- internet -------'
                    |
                [router] 198.51.100.20 (NAT)
                    |
      .-- home -----+-----------.
      |                         |
   charlie 192.168.1.3       delta 192.168.1.4
";

    /// A folder that vanishes with its owner.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    pub(super) fn main() -> ExitCode {
        if !is_root() {
            eprintln!("the lab makes network namespaces: run it as root");
            return ExitCode::FAILURE;
        }
        let folder = match daemon_name() {
            Ok(folder) => folder,
            Err(error) => {
                eprintln!("cannot make a folder for the lab: {error}");
                return ExitCode::FAILURE;
            }
        };
        node::use_binary(folder.0.join("wgnet"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime.and_then(|runtime| runtime.block_on(show()));
        println!("\nThe lab is taken down.");
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn is_root() -> bool {
        // The owner of this process's own folder in /proc is its effective user.
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
    }

    /// This program under the name `wgnet`; folders of former labs that crashed are removed.
    fn daemon_name() -> std::io::Result<Folder> {
        let all = std::env::temp_dir();
        for entry in std::fs::read_dir(&all)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(pid) = name.strip_prefix("wgnet-lab-of-") else { continue };
            if !std::path::Path::new("/proc").join(pid).exists() {
                drop(std::fs::remove_dir_all(entry.path()));
            }
        }
        let folder = Folder(all.join(format!("wgnet-lab-of-{}", std::process::id())));
        std::fs::create_dir(&folder.0)?;
        std::os::unix::fs::symlink(std::env::current_exe()?, folder.0.join("wgnet"))?;
        Ok(folder)
    }

    async fn show() -> std::io::Result<()> {
        println!("Building four boxes in network namespaces ...");
        let lab = Lab::new("example", Load::Light);
        let boxes = FourBoxes::new(&lab);
        let pairs = lab.watch_pairs(boxes.nodes());
        let started = lab.start_all(boxes.nodes());
        let reach = pairs.finish(Duration::from_secs(30));
        println!("{DRAWING}");
        if reach.missing().is_empty() {
            let took = reach.complete_after(started).as_millis();
            println!("All {} directed pings passed {took} ms after the last daemon's start.", reach.passed());
        } else {
            println!("After 30 s: {reach}.");
        }
        println!("Look around, for instance from charlie (another terminal, as root); the first one is the dashboard:");
        let tid = boxes.charlie.machine().namespace().tid();
        let (wgnet, socket) = (node::binary(), boxes.charlie.socket());
        for question in ["tui", "status", "why alpha", "plan --without beta", "journal -n 20"] {
            println!("  nsenter -t {tid} -m -n {} {question} --socket {socket}", wgnet.display());
        }
        println!("  nsenter -t {tid} -m -n wg show wg0        ping 10.1.1.1        ip route");
        println!("Break and mend it here: 'kill beta', 'start beta' and Enter, any box. Ctrl-C ends the lab.");
        let mut orders = orders();
        let mut last = String::new();
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let mut asked_to_end = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                outcome = &mut asked_to_end => return outcome,
                Some(order) = orders.recv() => println!("{}", obey(&boxes, &order)),
                _ = tick.tick() => {}
            }
            let table = table(&boxes);
            if table != last {
                let at = Instant::now().duration_since(started).as_secs_f64();
                println!("\n{}", heading(&format!("{at:.1} s after the start")));
                print!("{table}");
                last = table;
            }
        }
    }

    /// The lines that are typed.
    fn orders() -> mpsc::Receiver<String> {
        let (sender, orders) = mpsc::channel(1);
        // Ends with the program: nothing interrupts a thread that reads a terminal.
        std::thread::spawn(move || {
            let lines = std::io::stdin().lines().map_while(Result::ok);
            lines.filter(|line| !line.trim().is_empty()).try_for_each(|line| sender.blocking_send(line))
        });
        orders
    }

    /// Carries out what was typed; says what was done, or what can be typed.
    fn obey(boxes: &FourBoxes, order: &str) -> String {
        let nodes = boxes.nodes();
        let (verb, node) = match order.split_whitespace().collect::<Vec<_>>()[..] {
            [verb @ ("kill" | "start"), name] => (verb, nodes.iter().find(|node| node.name() == name)),
            _ => ("", None),
        };
        match (verb, node) {
            ("kill", Some(node)) if node.runs() => {
                node.kill();
                format!("{} is killed", node.name())
            }
            ("start", Some(node)) if !node.runs() => {
                node.start();
                format!("{} is started", node.name())
            }
            (_, Some(node)) if node.runs() => format!("{} runs already", node.name()),
            (_, Some(node)) => format!("{} does not run", node.name()),
            _ => {
                let names = nodes.iter().map(|node| node.name()).collect::<Vec<_>>().join(", ");
                format!("'kill NAME' or 'start NAME' with one of {names}")
            }
        }
    }

    fn heading(text: &str) -> String {
        if std::io::stdout().is_terminal() { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Who reaches whom, seen from each row's box.
    fn table(boxes: &FourBoxes) -> String {
        let nodes = boxes.nodes();
        let cells = |from: &&Node| {
            let status = from.status().ok();
            let cell = |to: &&Node| {
                if to.name() == from.name() {
                    return "-".to_owned();
                }
                let address = to.address().to_string();
                let peer = status.as_ref().and_then(|status| status.peers.iter().find(|peer| peer.address == address));
                match peer.map(|peer| (peer.path, peer.via.as_deref(), peer.endpoint.as_deref())) {
                    Some((PathKind::Direct, _, endpoint)) => {
                        format!("direct, {}", endpoint.unwrap_or("no endpoint yet"))
                    }
                    Some((PathKind::Gateway, via, _)) => format!("through {}", via.unwrap_or("a gateway")),
                    Some((PathKind::Unreachable, ..)) => "not reachable".to_owned(),
                    None => "not known".to_owned(),
                }
            };
            nodes.iter().map(cell).collect::<Vec<_>>()
        };
        let mut text = format!("  {:<8}", "from");
        nodes.iter().for_each(|node| text.push_str(&format!("{:<30}", format!("to {}", node.name()))));
        for node in &nodes {
            text = text.trim_end().to_owned() + &format!("\n  {:<8}", node.name());
            cells(node).iter().for_each(|cell| text.push_str(&format!("{cell:<30}")));
        }
        text.trim_end().to_owned() + "\n"
    }
}
