# `just` lists what there is. Everything here is a command that also works without just.

[private]
default:
    @just --list --unsorted

# Three replicas, one leader, what happens when it is stopped, killed, frozen and cut off
demo *ARGS:
    cargo demo {{ ARGS }}

# All tests; those on the real API server show as ignored until `just control-plane` has built one
test *ARGS:
    cargo test {{ ARGS }}

# Ten thousand random histories of the election in seconds (a few minutes to build the first time); --help says more
simulate *ARGS:
    cargo simulate {{ ARGS }}

# Random writes to the embedded and the real API server, which have to agree (one minute per thousand)
conformance CASES="1000": control-plane
    STILL_LEADING_CASES={{ CASES }} cargo test --package still-leading-lease-api --test conformance -- random

# Build kube-apiserver, etcd and kubectl from their Go modules (six minutes once; nothing when up to date)
control-plane:
    @control-plane/build

# A release build, since the replicas' requests go through the harness's proxies.
# How long nobody leads after SIGTERM and after SIGKILL, all variants side by side (three minutes)
handover *ARGS: control-plane
    cargo run --quiet --release --package still-leading-evaluation --bin handover -- {{ ARGS }}

# What each variant weighs: executable, memory, requests per retry period
footprint *ARGS: control-plane
    cargo run --quiet --package still-leading-evaluation --bin footprint -- {{ ARGS }}

# Every election under every fault, on a real kube-apiserver: an hour and a half on two cores, and a quarter of an hour more the
# first time, for the release builds. What takes long is waiting, so the runs go on side by side. An interrupted run goes on where
# it was. `just matrix` writes the pages.
# The fault matrix: all trials into target/evaluation
evaluate: control-plane
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release --locked --package still-leading-evaluation --bin evaluate
    run() { target/release/evaluate run --release --real "$@"; }
    run --controls --except rest-30,rest-100 --trials 5 --parallel 24 --out target/evaluation/5-3-1 &
    run --timings 15/10/2 --fault sigterm,sigkill --trials 20 --out target/evaluation/15-10-2
    run --fault rest-30,rest-100 --trials 3 --out target/evaluation/at-rest
    wait $!

# Take the trials of `just evaluate` into docs/runs/, and write the pages of the matrix
matrix *DIRS="target/evaluation/5-3-1 target/evaluation/15-10-2 target/evaluation/at-rest":
    cargo evaluate report {{ DIRS }}
    cargo run --quiet --package still-leading-evaluation --bin comparison

# Half an hour on two cores, release builds included; docs/controller-measured.md says what it is about.
# The example controller under faults, and the same in Go: the record in docs/runs/ and the tables of its page
controller *ARGS: control-plane
    cargo run --quiet --release --package still-leading-evaluation --bin controller -- {{ ARGS }}

# Four minutes per variant, and as many to build it the first time; --help says what is done, and to which cluster.
# `just e2e single` tries one replica under each setting instead (twenty minutes).
# Deploy variants on the current cluster, break what can break there, and take them away again
e2e *VARIANTS:
    cargo run --quiet --package still-leading-evaluation --bin e2e -- {{ VARIANTS }}

# Whether three replicas of a deployed variant are Ready and one leads; changes nothing
verify VARIANT="native":
    cargo run --quiet --package still-leading-evaluation --bin e2e -- --verify {{ VARIANT }}

# About half an hour on two cores, with nothing else running: builds, memory and what each variant passes.
# Both records in docs/runs/ anew, then the tables (half an hour); arguments are those of the bin artefacts
record *ARGS: control-plane
    STILL_LEADING_RECORD="{{ justfile_directory() }}/docs/runs/black-box.json" cargo test --package still-leading-testbed --test black_box
    cargo run --quiet --package still-leading-evaluation --bin artefacts -- {{ ARGS }}
    @just comparison

# The tables of docs/comparison.md from docs/runs/*.json; --check only compares
comparison *ARGS:
    cargo run --quiet --package still-leading-evaluation --bin comparison -- {{ ARGS }}

# Render each overlay into deploy/install-<variant>.yaml
manifests:
    @deploy/render

# The cluster still-leading on kind: one control plane, three workers
[group('cluster')]
up:
    @deploy/cluster up

# Delete the cluster
[group('cluster')]
down:
    @deploy/cluster down

# Build and deploy with skaffold, then follow the logs until Ctrl-C (VARIANT "all": all seven; "controller": the example)
[group('cluster')]
run VARIANT="native":
    @deploy/cluster run {{ VARIANT }}

# Take away what `just run` has deployed
[group('cluster')]
delete VARIANT="native":
    @deploy/cluster delete {{ VARIANT }}

# The replicas' logs
[group('cluster')]
logs VARIANT="native":
    @deploy/cluster logs {{ VARIANT }}

# Who leads, and on which node
[group('cluster')]
leader VARIANT="native":
    @deploy/cluster leader {{ VARIANT }}

# Delete the leader's pod: it gets SIGTERM and can release its Lease
[group('cluster')]
term-leader VARIANT="native":
    @deploy/cluster term-leader {{ VARIANT }}

# Have the leader hand over to a standby, by the name of its pod
[group('cluster')]
hand-over POD VARIANT="native":
    @deploy/cluster hand-over {{ VARIANT }} {{ POD }}

# SIGKILL for the leader: nothing is released, its Lease has to run out
[group('cluster')]
kill-leader VARIANT="native":
    @deploy/cluster kill-leader {{ VARIANT }}

# Freeze the leader's node until `just heal`
[group('cluster')]
freeze-leader VARIANT="native":
    @deploy/cluster freeze-leader {{ VARIANT }}

# Cut the leader's node off from the API server until `just heal`
[group('cluster')]
cut-leader VARIANT="native":
    @deploy/cluster cut-leader {{ VARIANT }}

# Undo what freeze-leader and cut-leader did
[group('cluster')]
heal:
    @deploy/cluster heal

# The Lease, each time it changes
[group('cluster')]
watch-lease VARIANT="native":
    @deploy/cluster watch-lease {{ VARIANT }}

# Format everything; each Rust variant is a workspace of its own
fmt:
    cargo fmt
    for app in apps/*/Cargo.toml examples/*/Cargo.toml; do cargo fmt --manifest-path "$app" || exit 1; done
    gofmt -w apps/client-go examples/controller-go crates/testbed/tests/from_configmaps deploy/lint

# Formatting, clippy, go vet, manifests, links: what CI checks besides the tests
lint:
    @.ci/lint

# The documents as a book in target/book; says how to install mdbook
book:
    @.ci/book

# Exactly what CI runs
ci:
    @.ci/run
