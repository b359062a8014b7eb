/* What an ovsdb-server may answer to our selects. */
#include "common/json.h"
#include "node/ovs_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char sc[] = "sc0123456789", vx[] = "vx1", ip[] = "10.0.0.1";
    static char *names[2][1] = { { vx }, { sc } }, *addresses[] = { ip };
    SC_AUTO(cjson_free)
    cJSON *db = cJSON_ParseWithLength((const char *)data, size);
    for (int kind = OVS_BRIDGE; kind <= OVS_RETAIN; kind++) {
        struct ovs_wanted w = {
            .kind = (enum ovs_kind)kind,
            .bridge = { "br-sc", "netdev", 7, "ssl:10.0.0.9:6653", "/ca", "/c",
                        "/k", 0 },
            .port_id = sc,
            .names = names[kind != OVS_MESH],
            .addresses = addresses,
            .n_names = 1,
        };
        cJSON_Delete(ovs_diff(&w, "br-sc", db, NULL));
    }
    return 0;
}
