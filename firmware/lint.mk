# How the C code is written: .clang-format and .clang-tidy of the repository.
LINT_FILES := $(wildcard $(foreach folder,core/* app boards/* drivers port/lwip port/lwip/arch tests tests/*,$(folder)/*.c $(folder)/*.h))
TIDY_FILES := $(wildcard core/*/*.c app/*.c)

.PHONY: lint
lint: $(BEARSSL_READY) ## clang-format on all C files, clang-tidy on core and application
	@clang-format --dry-run -Werror --style=file $(LINT_FILES)
	@clang-tidy --quiet $(TIDY_FILES) -- -std=c99 $(INCLUDES) 2>/dev/null
