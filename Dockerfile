# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
WORKDIR /src
RUN python -m venv /opt/feira
ENV PATH=/opt/feira/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
# Dependencies first: they change less often than the code. No embedded servers: production has its own.
COPY requirements/production.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/production.txt
COPY pyproject.toml README.md LICENSE ./
COPY feira feira
RUN pip install --no-cache-dir --no-deps .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin feira \
 && install -d -o feira -g feira -m 0700 /keys /mail
COPY --from=build /opt/feira /opt/feira
ENV PATH=/opt/feira/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FEIRA_HOST=0.0.0.0 \
    FEIRA_PORT=8080 \
    FEIRA_LOG_FORMAT=json \
    FEIRA_SIGNING_KEYS_DIR=/keys \
    FEIRA_MAIL_DIR=/mail
USER feira
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "feira"]
CMD ["serve"]
