# Every target but `mlflow-ui` works in a fresh clone: a target that needs the environment makes it first. Only
# `make slurm-packages browser-packages` installs Debian packages.
PYTHON ?= python3.11
VENV   ?= .venv
TORCH  ?= 2.13.0
CONFIG ?= axolotl_configs/qwen_finetune.yml
CLUSTER ?= a100
BIN := $(VENV)/bin
# `exec`: a SIGTERM to make reaches Python itself, without a shell between. A benchmark then takes its dev cluster down.
BENCH := exec env PYTHONPATH=benchmarks:tests:tests/slurm:tests/train $(BIN)/python
TIMED := tests/train/test_mlflow_outage.py
export HF_HUB_OFFLINE ?= 1
export AXOLOTL_DO_NOT_TRACK ?= 1

.PHONY: help setup check check-examples test test-whole chaos exact lint demo trial slurm-packages slurm-roots browser-packages vllm slurm-needed stop-and-resume \
	compare-toy bench-submit bench-status bench-data bench-preempt bench-logging bench-gpu bench-eval docs release mlflow-ui
help:            ## print this list of targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(VENV)/.complete  ## make the virtual environment with the tested set of packages

# torch comes first: deepspeed is built against it, and resolving all packages at once may choose another build of torch.
$(VENV)/.complete: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel ninja
	$(BIN)/python -m pip install --quiet torch==$(TORCH)
	PYTHONWARNINGS='ignore:Editable installation' \
	$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[train,dev]'
	touch $@
	@printf 'ready\nhint: . %s/activate\n' '$(BIN)'

demo: setup      ## fine-tune SmolLM2-135M on this machine: data, training, evaluation, report, MLflow; downloads 93 MB
	$(BIN)/regrow demo --model smollm2

trial: setup     ## train the first 50 steps of CONFIG on one GPU, and evaluate every 25; ARGS=--dry-run only prints the jobs
	$(BIN)/regrow submit $(CONFIG) --cluster $(CLUSTER) --set max_steps=50 --set eval_steps=25 --set save_steps=25 --set train.gpus_per_node=1 $(ARGS)

check: lint      ## run the first tier, in under a minute: lint, and the tests that need neither Axolotl nor Slurm
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m quick

# Two workers, each with a CPU. The test that compares step times runs alone.
test: lint       ## run the second tier, as CI does: lint and all tests; skip tests that need a missing package
	@slurm/dev_cluster/install.sh --look || true
	@tests/install_browser.sh --look || true
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore=tests/slurm --ignore=tests/train
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore=$(TIMED) tests/train tests/slurm
	$(BIN)/python -m pytest $(TIMED)

test-whole:      ## run all tests without samples: every case of the memory and exactness tests
	REGROW_SAMPLE=all $(MAKE) test

slurm-packages:  ## install Debian's Slurm, for the dev cluster and its tests
	slurm/dev_cluster/install.sh

slurm-roots:     ## install other versions of Slurm, each in a root folder of its own; ARGS="24.11" for only that one
	slurm/dev_cluster/make_roots.sh $(ARGS)

browser-packages: ## install Debian's Chromium, for the tests that read the report
	tests/install_browser.sh

vllm: .venv-vllm/.complete  ## make a second environment with vLLM for CPUs, for the tests that generate with it

# All versions are named: to find them anew would take pip longer than to install them.
.venv-vllm/.complete: tests/vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --no-deps -r $<
	touch $@

slurm-needed:
	@slurm/dev_cluster/install.sh --look

chaos: setup slurm-needed  ## run the third tier, in about an hour: everything that can happen to a job, on a real Slurm (SLURM=24.11: on that version); continues where it was cut off
	exec env PYTHONPATH=tests:tests/slurm $(BIN)/python -m chaos $(if $(SLURM),--slurm $(SLURM)) $(ARGS)

exact: setup     ## run the third tier, in about two hours: trainings of every shape, stopped and resumed; continues where it was cut off
	exec env PYTHONPATH=tests:tests/exact:tests/slurm:slurm $(BIN)/python -m exact $(ARGS)

check-examples: setup  ## check every example config of Axolotl, in two minutes; ARGS="--examples FOLDER" for other configs
	exec env PYTHONPATH=tests $(BIN)/python -m axolotl_examples $(ARGS)

stop-and-resume: setup slurm-needed  ## measure how fast a run stops and resumes, beside a resume by hand
	$(BENCH) benchmarks/stop_and_resume.py $(ARGS)

bench-submit: setup slurm-needed  ## measure four dependent jobs, an array, --help and status, beside sbatch and other submitters
	$(BENCH) benchmarks/submit.py $(ARGS)

bench-status: setup  ## measure the status of 200 runs, beside that of one run, and beside reading their journals
	$(BENCH) benchmarks/status.py $(ARGS)

bench-data: setup  ## measure the migration document's merge, beside other tools and a plain copy; tokenise on one core and on all
	$(BENCH) benchmarks/data.py $(ARGS)

bench-preempt: setup slurm-needed  ## measure trainings that lose their node at the same times: requeue, checkpoints at SIGTERM, submitit, regrow
	$(BENCH) benchmarks/preemption.py $(ARGS)

compare-toy: setup slurm-needed  ## compare one training with negatives and two stages, both preempted: the migration document's criteria
	$(BENCH) benchmarks/compare_toy.py $(ARGS)

bench-logging: setup  ## measure a training's step time with a healthy, a slow, a hanging and a dead MLflow server
	$(BENCH) benchmarks/metric_logging.py $(ARGS)

bench-gpu: setup  ## measure LoRA on attention, on experts, and with ScatterMoE kernels; needs a GPU
	$(BENCH) benchmarks/gpu/moe_lora.py $(ARGS)

bench-eval: setup  ## measure batched generation beside a loop over single records, on the toy model
	$(BENCH) benchmarks/batch_evaluation.py $(ARGS)

lint: setup      ## run ruff, mypy and the import rules
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

docs: setup      ## build the documentation as a site, in site/
	$(BIN)/mkdocs build --strict --quiet

release: setup   ## check, build and tag VERSION (x.y.z) from a clean checkout; pushes nothing
	.ci/release "$(VERSION)" $(abspath $(BIN))

mlflow-ui:       ## show the tracking database of this machine's runs in a browser
	$(BIN)/mlflow ui --backend-store-uri sqlite:///runs/mlflow.db
