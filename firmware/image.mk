# What proves the model image and the slots beyond their unit tests.

PROVEN := $(wildcard core/image/*.c core/slot/*.c)

.PHONY: coverage
coverage: $(B)/host/libcore.a ## 100 % of the branches of core/image and core/slot taken by the unit tests, or failure
	@rm -rf $(B)/coverage && mkdir -p $(B)/coverage
	@for file in $(PROVEN); do \
		$(CC) $(COMMON) -O0 --coverage -c $$file -o $(B)/coverage/$$(basename $$file .c).o; done
	@for name in test_image test_slot test_slot_flash; do program=$(B)/coverage/$$name; \
		$(CC) $(COMMON) -O1 -Itests tests/unit/$$name.c $(addprefix $(B)/coverage/,$(notdir $(PROVEN:.c=.o))) $< -lm \
			--coverage -o $$program; \
		$$program; done
	@$(PYTHON) tests/branch_coverage.py $(B)/coverage $(PROVEN)

.PHONY: mutations
mutations: sim ## the simulator notices faults put into the slot code
	@$(PYTHON) tests/sim/mutations.py

.PHONY: corruption
corruption: $(B)/host/libcore.a ## every byte of an image takes all 255 other values (a few minutes)
	@$(CC) $(COMMON) -O2 -DEVERY_CHANGE -Itests tests/unit/test_image.c $< -lm -o $(B)/corruption
	@$(B)/corruption
