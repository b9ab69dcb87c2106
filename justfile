# For people; CI and the README call the same scripts.

# What there is.
default:
    @just --list

# Every test, with formatting, lints and licences.
test *args:
    scripts/test {{args}}

# The long fault and fuzz counts as well.
soak *args:
    scripts/test soak {{args}}

# Build, read the sample logs, print alerts, keep listening.
quickstart *args:
    scripts/quickstart {{args}}

# Format the code.
fmt:
    cargo fmt --all

# Lints only.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The benchmarks.
bench *args:
    cargo bench --locked -p threatlockdown-benches {{args}}

# The figures that the engine is held to, as ratios within one run; `--home DIR` adds those of an installation.
ratios *args:
    cargo run --release --locked -p threatlockdown-benches --bin ratios -- {{args}}

# rsigma, for the rows of that name (as it comes, and at its best: `rsigma-pruned`): `just ratios --only rsigma --sigma DIR --peer target/rsigma-peer/release/rsigma-peer`.
peer:
    cargo build --release --locked --ignore-rust-version --manifest-path benches/rsigma/Cargo.toml --target-dir target/rsigma-peer
