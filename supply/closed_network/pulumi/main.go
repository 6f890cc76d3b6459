// Command pulumi-resource-docker is the Docker plugin for a network that has no plugin download:
// the same upstream provider and the same bridge as the official plugin, with the same names,
// so that state written by the one shows no change under the other.
package main

import (
	"strings"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/terraform-providers/terraform-provider-docker/shim"
)

// version is set at build time to that of the Python package that the plugin serves; the CLI compares the two.
var version = "0.0.0"

// kind names a resource type as the Python package does, such as docker:index/remoteImage:RemoteImage.
func kind(name string) tokens.Type {
	return tokens.Type("docker:index/" + strings.ToLower(name[:1]) + name[1:] + ":" + name)
}

// lookup names a function as the Python package does, such as docker:index/getNetwork:getNetwork.
func lookup(name string) tokens.ModuleMember {
	return tokens.ModuleMember("docker:index/" + name + ":" + name)
}

// named keeps a field's name where the bridge would make a plural of it.
func named(name string) *tfbridge.SchemaInfo {
	return &tfbridge.SchemaInfo{Name: name}
}

func provider() tfbridge.ProviderInfo {
	host := &tfbridge.DefaultInfo{EnvVars: []string{"DOCKER_HOST"}, Value: "unix:///var/run/docker.sock"}
	info := tfbridge.ProviderInfo{
		P:       shimv2.NewProvider(shim.New(version)),
		Name:    "docker",
		Version: version,
		Config: map[string]*tfbridge.SchemaInfo{
			"host":          {Default: host},
			"registry_auth": {Name: "registryAuth", MaxItemsOne: tfbridge.False()},
		},
		IgnoreMappings: []string{"docker_buildx_builder", "docker_registry_image_manifests"},
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_config": {Tok: kind("ServiceConfig")},
			"docker_container": {
				Tok:                 kind("Container"),
				DeleteBeforeReplace: true, // two containers cannot share a name or a port
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           named("command"),
					"networks_advanced": named("networksAdvanced"),
				},
			},
			"docker_image":          {Tok: kind("RemoteImage"), Fields: map[string]*tfbridge.SchemaInfo{"name": named("name")}},
			"docker_network":        {Tok: kind("Network")},
			"docker_plugin":         {Tok: kind("Plugin")},
			"docker_registry_image": {Tok: kind("RegistryImage")},
			"docker_secret":         {Tok: kind("Secret")},
			"docker_service":        {Tok: kind("Service")},
			"docker_tag":            {Tok: kind("Tag")},
			"docker_volume":         {Tok: kind("Volume")},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image":          {Tok: lookup("getRemoteImage")},
			"docker_logs":           {Tok: lookup("getLogs")},
			"docker_network":        {Tok: lookup("getNetwork")},
			"docker_plugin":         {Tok: lookup("getPlugin")},
			"docker_registry_image": {Tok: lookup("getRegistryImage")},
		},
	}
	info.SetAutonaming(255, "-")
	return info
}

func main() {
	tfbridge.Main("docker", version, provider(), []byte(`{"name":"docker","version":"`+version+`"}`))
}
