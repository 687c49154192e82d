# What benchmarks/engine.py measures.

# One streaming forecast of MODEL on the emulated core: instructions, bytes of arena, fused layers.
ENGINE_CORE := $(filter core/nn/%,$(CORE))
ENGINE_OBJECTS := $(ENGINE_CORE:%.c=$(B)/mps2_an500/%.o)

.PHONY: bench
bench: $(ENGINE_OBJECTS) $(TARGET_PARTS)
	@test -n "$(MODEL)" || { echo 'bench: name a file, as in  make -C firmware bench MODEL=cell_int8.tflite' >&2; exit 2; }
	@mkdir -p $(B)/bench
	@$(ARM) $(COMMON) $(MPS2_FLAGS) -DMODEL_FILE='"$(MODEL)"' tests/bench/bench_nn.c $^ -nostartfiles -Wl,--gc-sections \
		-Wl,--no-warn-rwx-segments -Tboards/mps2_an500/link.ld -lm -o $(B)/bench/model.elf
	@timeout $(QEMU_SECONDS) $(QEMU) -kernel $(B)/bench/model.elf < /dev/null

# One forecast_push with MODEL and a usual feature program: instructions, those of the network in it, bytes of buffer.
.PHONY: bench-forecast
bench-forecast: $(B)/mps2_an500/libcore.a $(TARGET_PARTS)
	@test -n "$(MODEL)" || { echo 'bench-forecast: name a file, as in  make -C firmware bench-forecast MODEL=a.tflite' >&2; exit 2; }
	@mkdir -p $(B)/bench
	@$(ARM) $(COMMON) $(MPS2_FLAGS) -DMODEL_FILE='"$(MODEL)"' tests/bench/bench_forecast.c $(TARGET_PARTS) $< -nostartfiles \
		-Wl,--gc-sections -Wl,--no-warn-rwx-segments -Tboards/mps2_an500/link.ld -lm -o $(B)/bench/forecast.elf
	@timeout $(QEMU_SECONDS) $(QEMU) -kernel $(B)/bench/forecast.elf < /dev/null

# Code and constants of the engine that the linker keeps, with the types that ENGINE_FLAGS leaves in.
.PHONY: engine-size
engine-size:
	@rm -rf $(B)/engine && mkdir -p $(B)/engine
	@for file in $(ENGINE_CORE); do \
		$(ARM) $(COMMON) $(MPS2_FLAGS) $(ENGINE_FLAGS) -c $$file -o $(B)/engine/$$(basename $$file .c).o; done
	@arm-none-eabi-ld -r --gc-sections -e nn_load $(foreach name,nn_arena_bytes nn_load nn_reset nn_step,-u $(name)) \
		$(B)/engine/*.o -o $(B)/engine/kept.o
	@arm-none-eabi-size $(B)/engine/kept.o | awk 'NR == 2 { print $$1 }'
