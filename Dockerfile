# The image of any Rust variant: docker build --build-arg VARIANT=kubert --tag still-leading-kubert .
# Of an example: docker build --build-arg PARENT=examples --build-arg VARIANT=controller --tag still-leading-controller .
# Any Docker with BuildKit (the default since 23.0) builds it; no frontend is fetched.
ARG BUILDER_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/static-debian13:nonroot

FROM ${BUILDER_IMAGE} AS builder
ARG PARENT=apps
ARG VARIANT=native
WORKDIR /src
# Only what this variant is made of, so that an edit elsewhere does not build it again.
COPY Cargo.toml ./
COPY .cargo .cargo
COPY crates/scaffold crates/scaffold
COPY crates/still-leading crates/still-leading
COPY ${PARENT}/${VARIANT} ${PARENT}/${VARIANT}
# What --version shows: --build-arg COMMIT=$(git rev-parse --short HEAD). Git is needed for nothing else.
ARG COMMIT=
WORKDIR /src/${PARENT}/${VARIANT}
# Linked whole, since the runtime image has no libc; with --target, so that this does not reach build scripts and macros.
# The mounts keep crates and compiled dependencies for the next build. They are not layers, hence the copy of the result.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    target=$(rustc -vV | sed -n 's/^host: //p') && \
    STILL_LEADING_COMMIT=${COMMIT} RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target "$target" && \
    install -D "/src/target/$target/release/still-leading-${VARIANT}" /out/still-leading

FROM ${RUNTIME_IMAGE}
COPY --from=builder /out/still-leading /still-leading
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/still-leading"]
