# The operator's image: the program and the libraries it is linked with, on nothing.
#
#     docker build --build-arg REVISION="$(git rev-parse HEAD)" --tag sluice:dev .
#
# The compiler is the one of rust-toolchain.toml; tests/it/image.rs compares the two, and what is said here with the
# manifests. docs/supply-chain.md says what the image holds and how to verify one that was published.
FROM rust:1.95.0-bookworm AS build
# Writes the list of crates into the program, where scanners find it.
RUN cargo install --locked --version 0.7.7 cargo-auditable
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target,sharing=locked \
    cargo auditable build --locked --release --package sluice --bin sluice \
    && deploy/image/pack.sh target/release/sluice /image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Progressive rollout controller for Kubernetes: gate, waves, verdicts from evidence, automatic rollback, records" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
# A number, so that runAsNonRoot can be checked. Nothing is written: the root may be read-only.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/sluice"]
