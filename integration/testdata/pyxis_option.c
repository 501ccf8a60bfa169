/* A SPANK plugin that has the name and an option of Pyxis, and does nothing. */
typedef struct spank_handle *spank_t;

struct spank_option {
	char *name, *arginfo, *usage;
	int has_arg, val;
	int (*callback)(int val, const char *optarg, int remote);
};

int spank_option_register(spank_t spank, struct spank_option *option);

const char plugin_name[] = "pyxis";
const char plugin_type[] = "spank";
const unsigned int plugin_version = VERSION;
const unsigned int spank_plugin_version = 1;

static int taken(int val, const char *optarg, int remote) { return 0; }

int slurm_spank_init(spank_t spank, int ac, char **av)
{
	static struct spank_option image = {
		"container-image", "[USER@][REGISTRY#]IMAGE[:TAG]|PATH", "the image", 1, 0, taken,
	};
	return spank_option_register(spank, &image);
}
