package hostfacts

// nvidiaChip is the block of PCI device ids that NVIDIA gave to one chip.
type nvidiaChip struct {
	first, last              uint64
	architecture, capability string
}

// nvidiaChips joins two public tables: which device ids belong to which chip
// (pci.ids), and which chip has which compute capability (NVIDIA's list of CUDA
// GPUs). Chips before Kepler, which no supported driver runs, are left out.
func nvidiaChips() []nvidiaChip {
	return []nvidiaChip{
		{0x0fc0, 0x0fff, "kepler", "3.0"},     // GK107
		{0x1001, 0x102c, "kepler", "3.5"},     // GK110, GK180
		{0x102d, 0x102d, "kepler", "3.7"},     // GK210
		{0x102e, 0x103f, "kepler", "3.5"},     // GK110
		{0x1180, 0x11ff, "kepler", "3.0"},     // GK104, GK106
		{0x1280, 0x12bf, "kepler", "3.5"},     // GK208
		{0x1340, 0x13bf, "maxwell", "5.0"},    // GM108, GM107
		{0x13c0, 0x143f, "maxwell", "5.2"},    // GM204, GM206
		{0x15f0, 0x15ff, "pascal", "6.0"},     // GP100
		{0x1617, 0x1667, "maxwell", "5.2"},    // GM204
		{0x1725, 0x172f, "pascal", "6.0"},     // GP100
		{0x174d, 0x179c, "maxwell", "5.0"},    // GM108, GM107
		{0x17c2, 0x17ff, "maxwell", "5.2"},    // GM200
		{0x1b00, 0x1d7f, "pascal", "6.1"},     // GP102, GP104, GP106, GP107, GP108
		{0x1d80, 0x1dff, "volta", "7.0"},      // GV100
		{0x1e00, 0x1fff, "turing", "7.5"},     // TU102, TU104, TU106, TU117
		{0x2080, 0x20ff, "ampere", "8.0"},     // GA100
		{0x2180, 0x21ff, "turing", "7.5"},     // TU116
		{0x2200, 0x227f, "ampere", "8.6"},     // GA102
		{0x2300, 0x237f, "hopper", "9.0"},     // GH100
		{0x2400, 0x25ff, "ampere", "8.6"},     // GA103, GA104, GA106, GA107
		{0x2680, 0x28ff, "ada", "8.9"},        // AD102, AD103, AD104, AD106, AD107
		{0x2900, 0x297f, "blackwell", "10.0"}, // GB100
		{0x2b80, 0x2bff, "blackwell", "12.0"}, // GB202
		{0x2c00, 0x2c7f, "blackwell", "12.0"}, // GB203
		{0x2d00, 0x2dff, "blackwell", "12.0"}, // GB206, GB207
		{0x2e00, 0x2e3f, "blackwell", "12.1"}, // GB20B
		{0x2f00, 0x2f7f, "blackwell", "12.0"}, // GB205
		{0x3180, 0x31ff, "blackwell", "10.3"}, // GB110
	}
}
