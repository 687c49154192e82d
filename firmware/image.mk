# What proves the model image and the slots beyond their unit tests.

.PHONY: mutations
mutations: sim ## the simulator notices faults put into the slot code
	@$(PYTHON) tests/sim/mutations.py

.PHONY: corruption
corruption: $(B)/host/libcore.a ## every byte of an image takes all 255 other values (a few minutes)
	@$(CC) $(COMMON) -O2 -DEVERY_CHANGE -Itests tests/unit/test_image.c $< -lm -o $(B)/corruption
	@$(B)/corruption
