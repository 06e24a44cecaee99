# Built once with the compiler's tools, run without them, as a user that owns nothing.
FROM node:24-slim AS panel
WORKDIR /panel
COPY app/panel/package.json app/panel/package-lock.json ./
RUN npm ci
COPY app/panel ./
RUN npm run build

FROM python:3.12-slim AS build
RUN python -m venv /opt/respaldos
ENV PATH=/opt/respaldos/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# Dependencies first: they change less often than the program.
COPY requirements.lock requirements-build.lock ./
RUN pip install --require-hashes -r requirements.lock
# What builds the wheel is locked as well, and is not in the image.
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY workers workers
COPY migrations migrations
COPY --from=panel /panel/dist app/panel/dist
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/build/dist . && \
    pip install --no-deps /opt/build/dist/*.whl

FROM python:3.12-slim
RUN groupadd --system --gid 10001 respaldos && \
    useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin respaldos
COPY --from=build /opt/respaldos /opt/respaldos
ENV PATH=/opt/respaldos/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Root's: a .env would be read from here.
WORKDIR /opt/respaldos
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/salud/viva', timeout=4)"]
CMD ["respaldos", "serve", "--host", "0.0.0.0"]
