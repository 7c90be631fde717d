# The image of birthday-host, on a machine with nothing but docker: `docker build .`
# `make image` takes the last stage alone, and gives it what cargo built here in place of the stage `files`.

FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-bookworm AS build
# Debian keeps no version but the last.
# hadolint ignore=DL3008
RUN apt-get update -qq && apt-get install -qq --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG TARGETARCH
# Of the last commit, so that the same commit makes the same image.
ARG SOURCE_DATE_EPOCH=0
# Folders with what cargo downloads and builds stay from one build to the next, one for each architecture, as two may be built
# at a time.
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
