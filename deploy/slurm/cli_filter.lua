-- Slurm's cli_filter: a job that names an image is submitted to the nodes on which the
-- image runs, and the best of them first; one whose image runs on no node is rejected,
-- with the reason. It belongs beside slurm.conf, on all hosts from which jobs are
-- submitted, with "CliFilterPlugins=cli_filter/lua" in slurm.conf. docs/slurm.md explains.

-- Where imagefit is, what it knows of the classes of nodes, and further flags.
local imagefit = "imagefit"
local classes = "/etc/imagefit/classes.json"
local flags = ""

-- Whether jobs prefer the nodes that run the best variant. Slurm (22.05 for certain)
-- rejects a job whose --prefer names nodes that the job may not use at all, so this is for
-- sites whose default partition has all nodes, and is left out for jobs that choose
-- nodes themselves.
local prefer_best = false

-- of_pyxis returns the image of --container-image, an option of Pyxis, as a reference:
-- its [docker://][USER@][REGISTRY#]IMAGE[:TAG] has a # behind the registry. A path is the
-- file of an image, of which nothing is known.
local function of_pyxis(options)
	local image = ((options["spank"] or {})["pyxis"] or {})["container-image"]
	if image == nil or string.match(image, "^[./~]") or string.match(image, "^dockerd://") or string.match(image, "^podman://") then
		return nil
	end
	image = string.gsub(image, "^docker://", "")
	image = string.gsub(image, "^[^/@#:]+@", "")
	return (string.gsub(image, "#", "/", 1))
end

-- image_of returns the image of a job: that of "--comment image=REFERENCE", or of Pyxis. A
-- site whose jobs name images in another way changes this function only.
local function image_of(options)
	return string.match(options["comment"] or "", "image=(%S+)") or of_pyxis(options)
end

-- match returns what imagefit prints in a format, its exit code, and its errors.
local function match(image, format)
	local errors = os.tmpname()
	local command = string.format("%s match '%s' --nodes @slurm --nodes '%s' -o %s %s 2>'%s'; echo \" $?\"",
		imagefit, image, classes, format, flags, errors)
	local pipe = io.popen(command)
	local output = pipe:read("*a")
	pipe:close()
	local file = io.open(errors)
	local reason = file:read("*a")
	file:close()
	os.remove(errors)
	local answer, code = string.match(output, "^(.-)%s+(%d+)%s*$")
	return answer, tonumber(code), reason
end

-- chooses reports whether the user restricts the nodes of the job.
local function chooses(options)
	for _, name in ipairs({"constraint", "prefer", "partition", "nodelist", "exclude", "reservation", "clusters"}) do
		if options[name] ~= nil and options[name] ~= "" then
			return true
		end
	end
	return false
end

-- both joins what the user wants and what the image needs, or returns nil: Slurm takes one
-- level of parentheses, and reads from the left to the right.
local function both(user, ours)
	if user == nil or user == "" then
		return ours
	end
	if not string.match(user, "[%[%](){}*]") then
		return "(" .. user .. ")&(" .. ours .. ")"
	end
	local outside = string.gsub(user, "%b()", "")
	if not string.match(outside, "[%[%](){}*|]") then
		return user .. "&(" .. ours .. ")"
	end
	return nil
end

function slurm_cli_setup_defaults(options, early_pass)
	return slurm.SUCCESS
end

function slurm_cli_pre_submit(options, offset)
	local image = image_of(options)
	if image == nil then
		return slurm.SUCCESS
	end
	if not string.match(image, "^[%w][%w%._:/@%-]*$") then
		slurm.log_error("%s is not the reference of an image", image)
		return slurm.ERROR
	end
	local constraint, code, reason = match(image, "slurm-constraint")
	if code == 3 then
		slurm.log_error("%s", reason)
		return slurm.ERROR
	end
	if code ~= 0 and code ~= 4 then
		-- What cannot be found out rejects no job.
		slurm.log_info("where %s runs is not known: %s", image, reason)
		return slurm.SUCCESS
	end
	if prefer_best and not chooses(options) then
		options["prefer"] = (match(image, "slurm-prefer"))
	end
	local joined = both(options["constraint"], constraint)
	if joined == nil then
		slurm.log_info("what %s needs cannot be added to the constraint %s: the nodes must have %s, too", image, options["constraint"], constraint)
		return slurm.SUCCESS
	end
	options["constraint"] = joined
	return slurm.SUCCESS
end

function slurm_cli_post_submit(offset, job_id, step_id)
	return slurm.SUCCESS
end
