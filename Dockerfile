# Builds the one static binary and ships it with nothing else: no shell, no libc, no root.
#
#   docker build -t aura .
#   docker run --rm -p 127.0.0.1:8080:8080 -e AURA_TOKEN=$(openssl rand -hex 32) -v aura-data:/data aura
#
# Inside a container the server must listen on all of its addresses, so it asks for a token (exit 3 without one).
# There is no HEALTHCHECK: orchestrators ask /livez and /readyz over HTTP; `docker run --rm aura version` tests the image.
FROM golang:1.26.8 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The tree belongs to whoever built the context; git reads it all the same, for the commit in `aura version`.
RUN git config --global --add safe.directory /src \
 && go build -ldflags="-s -w" -o /out/bin/aura . \
 && /out/bin/aura version \
 && mkdir -p /out/root/data /out/root/tmp /out/root/etc \
 && echo 'aura:x:65532:65532:aura:/data:/nologin' > /out/root/etc/passwd \
 && chmod 1777 /out/root/tmp \
 && chown -R 65532:65532 /out/root/data

FROM scratch
COPY --from=build /out/root/ /
COPY --from=build /out/bin/aura /aura
COPY LICENSE /LICENSE
USER 65532:65532
WORKDIR /data
ENV AURA_DATA_DIR=/data AURA_HTTP_ADDR=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/aura"]
CMD ["run"]
