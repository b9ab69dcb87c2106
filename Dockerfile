# One image for every role; which one it is says the command.
FROM rust:1.90-bookworm AS build
# librdkafka, its TLS and its HTTP client are built along.
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin threatlockdown && cp target/release/threatlockdown /threatlockdown

FROM debian:bookworm-slim
# Authorities for TLS, and a client for health checks.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home threatlockdown \
    && install -d -o threatlockdown -g threatlockdown -m 0750 /var/lib/threatlockdown
COPY --from=build /threatlockdown /usr/local/bin/threatlockdown
USER threatlockdown
WORKDIR /var/lib/threatlockdown
VOLUME /var/lib/threatlockdown
EXPOSE 7514
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["curl", "--fail", "--silent", "--show-error", "http://127.0.0.1:7514/healthz"]
ENTRYPOINT ["threatlockdown"]
CMD ["--help"]
