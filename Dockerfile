# The image of birthday-host. On a machine that has only docker: `docker build .`
# `make image` uses the last stage only, with the files that cargo built on this machine instead of the stage `files`.

FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-bookworm AS build
# Debian keeps only the last version of a package.
# hadolint ignore=DL3008
RUN apt-get update -qq && apt-get install -qq --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG TARGETARCH
# The time of the last commit, so that the same commit makes the same image.
ARG SOURCE_DATE_EPOCH=0
# The folders in which cargo downloads and builds are kept between builds. Each architecture has its own target folder, because two may
# be built at a time.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,id=birthday-target-$TARGETARCH,sharing=locked \
    scripts/install-toolchain && scripts/install-image-tools "$TARGETARCH" && scripts/image-files "$TARGETARCH" \
    && mkdir /image && cp --archive "target/image/root/$TARGETARCH" /image/

FROM scratch AS files
COPY --from=build /image /

FROM scratch
ARG TARGETARCH
LABEL org.opencontainers.image.title="birthday-host" \
    org.opencontainers.image.description="The birthday API: a WebAssembly component, precompiled, and the wasmtime host that serves it" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=files /$TARGETARCH /
ENV BIRTHDAY_COMPONENT=/birthday.cwasm \
    BIRTHDAY_LISTEN=0.0.0.0:8080 \
    BIRTHDAY_ADMIN=0.0.0.0:9901 \
    BIRTHDAY_KEY_VALUE=memory \
    BIRTHDAY_LOG_FORMAT=json \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
EXPOSE 8080 9901
USER 65532:65532
ENTRYPOINT ["/birthday-host"]
