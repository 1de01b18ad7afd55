//! Probes reach a replica over IPv6 alone, over both families, and on a machine that has no IPv6.
//!
//! Each test has its own network namespace, in which it can add and remove addresses. That needs `unshare`, `ip` and the kernel's
//! permission; where one is missing the tests show as ignored, with the reason. They run without an election, so they need no
//! API server.

use std::process::{Command, ExitCode, Output, Stdio};

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use still_leading_testbed::{Profile, Variant};

/// The addresses of a namespace, and those from which a kubelet probes.
#[derive(Clone, Copy)]
struct Network {
    name: &'static str,
    /// Makes the namespace this network.
    prepare: &'static str,
    probes: &'static [&'static str],
}

const NETWORKS: [Network; 3] = [
    // A pod has a loopback address of IPv4 there too, and Go relies on it: without one it would listen on IPv4 alone.
    Network { name: "ipv6_alone", prepare: "ip address add fd00::1/128 dev lo", probes: &["fd00::1"] },
    Network {
        name: "both_families",
        prepare: "ip address add fd00::1/128 dev lo; ip address add 192.0.2.1/32 dev lo",
        probes: &["fd00::1", "192.0.2.1"],
    },
    Network {
        name: "ipv4_alone",
        prepare: "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6",
        probes: &["127.0.0.1"],
    },
];

/// Starts the program with its default address and probes each address for at most ten seconds, with Bash's sockets.
const SCRIPT: &str = r#"
set -eu
ip link set lo up
eval "$1"
"$2" --tick 1s --identity alone > /dev/null &
trap 'kill -9 $!' EXIT
shift 2
for host in "$@"; do
    for _ in $(seq 200); do
        if { exec 3<>"/dev/tcp/$host/8080"; } 2> /dev/null; then
            printf 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
            read -r line <&3
            echo "$host $line"
            exec 3>&-
            break
        fi
        sleep 0.05
    done
done
"#;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let lacking = lacking();
    if let Some(why) = lacking.as_ref().filter(|_| !arguments.list) {
        eprintln!("note: the tests of IP families are ignored: {why}");
    }
    let mut trials = Vec::new();
    for variant in Variant::ALL {
        let ignored = lacking.is_some() || variant.missing_toolchain().is_some();
        for network in NETWORKS {
            let run = move || try_variant(*variant, network).map_err(|error| Failed::from(format!("{error:#}")));
            let name = format!("{variant}::is_reached_over_{}", network.name);
            trials.push(Trial::test(name, run).with_ignored_flag(ignored));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn in_namespace(script: &str, args: &[&str]) -> Result<Output> {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "bash", "-c", script, "bash"]).args(args);
    command.env_remove("ENABLE_LEADER_ELECTION").env_remove("LISTEN").stdin(Stdio::null());
    command.output().context("starting unshare")
}

/// Returns why this machine cannot make such namespaces.
fn lacking() -> Option<String> {
    let script = NETWORKS.map(|network| format!("({})", network.prepare)).join(" && ");
    match in_namespace(&format!("set -e; ip link set lo up; {script}"), &[]) {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
        Err(error) => Some(format!("{error:#}")),
    }
}

fn try_variant(variant: Variant, network: Network) -> Result<()> {
    let program = variant.build(Profile::Debug)?;
    let mut args = vec![network.prepare, program.to_str().context("a path that is not UTF-8")?];
    args.extend(network.probes);
    let output = in_namespace(SCRIPT, &args)?;
    let [said, errors] = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    for probe in network.probes {
        let is_ok = said.lines().any(|line| line.starts_with(&format!("{probe} HTTP/1.1 200")));
        ensure!(is_ok, "no answer on {probe}: {said}{errors}");
    }
    Ok(())
}
